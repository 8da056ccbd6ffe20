"""Settings: what the tables of the settings file are made of, and the limits that several share.

Takes in values, refuses those out of range with a sentence that names the key. It reads no file:
`service.config` does.
"""

from __future__ import annotations

import msgspec

from edgeface.system.units import Seconds

FPS = (0.1, 1000)  # frames a second
PIXELS = (16, 10_000)
TIMEOUT = (0.1, 600)  # seconds
LONGEST = 366 * 86400.0  # seconds


def between(key: str, value: float, least: float, most: float) -> None:
    """ValueError unless the number lies there; "nan" lies nowhere."""
    if not least <= value <= most:
        raise ValueError(f"{key} must lie between {least:g} and {most:g}")


def lasts(key: str, value: Seconds, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f'{key} must lie between "{least:g} s" and "{most:g} s"')


class SettingsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: unknown keys are errors."""
