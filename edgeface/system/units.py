"""Units: durations and sizes as people write them, "5 min" or "200 MB".

Takes in a number with its unit, hands on seconds or bytes. A number without a unit is refused,
since nobody remembers which one was meant.
"""

from __future__ import annotations

import difflib
import math
import re

from edgeface.errors import ConfigError

_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"kB": 1e3, "MB": 1e6, "GB": 1e9}
_WRITTEN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([^\W\d_]+)\s*")


class Seconds(float):
    """A duration in seconds."""


class Bytes(int):
    """A size in bytes."""


def seconds(text: object) -> Seconds:
    """Seconds from "500 ms", "10 s", "5 min", "1 h" or "7 d"; ConfigError otherwise."""
    return Seconds(_read(text, _SECONDS, "a duration", "10 s"))


def size(text: object) -> Bytes:
    """Bytes from "500 kB", "200 MB" or "1 GB"; ConfigError otherwise."""
    return Bytes(_read(text, _BYTES, "a size", "200 MB"))


def _read(text: object, units: dict[str, float], kind: str, example: str) -> float:
    written = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    if written is None:
        raise ConfigError(f'{kind} is a number with its unit in quotes, as in "{example}"')
    number, unit = written.groups()
    if unit not in units:
        near = difflib.get_close_matches(unit, units, 1, 0.3)
        hint = f'; did you mean "{number} {near[0]}"?' if near else ""
        raise ConfigError(f'"{unit}" is not a unit of {kind} ({", ".join(units)}){hint}')
    amount = float(number) * units[unit]
    if not math.isfinite(amount):
        raise ConfigError(f'{kind} cannot be that large; write for example "{example}"')
    return amount
