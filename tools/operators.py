"""Which version each TFLite operator needs, and which runtimes know it.

Takes in a network's flatbuffer, hands on what it needs and whether the oldest supported runtime has
it. The rules are TFLite's own (tools/versioning/op_version.cc and runtime_version.cc), restricted
to the operators of convolutional networks; an operator that is not listed is reported, never
guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from edgeface_tools.flatbuffer import Operator, operators

OLDEST_RUNTIME = "2.14.0"
"""tflite-runtime's last release, the oldest that the package supports."""

# By operator: the TFLite release that brought versions 1, 2, 3, ...
_SINCE: dict[str, tuple[str, ...]] = {
    "ADD": ("1.5.0", "1.14.0", "2.4.0", "2.6.0"),
    "AVERAGE_POOL_2D": ("1.5.0", "1.14.0", "2.3.0"),
    "CONCATENATION": ("1.5.0", "1.14.0", "2.3.0"),
    "CONV_2D": ("1.5.0", "1.14.0", "1.14.0", "2.3.0", "2.4.0", "2.9.0", "2.13.0"),
    "DEPTHWISE_CONV_2D": ("1.5.0", "1.12.0", "1.14.0", "2.2.0", "2.3.0", "2.3.0", "2.13.0"),
    "DEQUANTIZE": ("1.13.1", "1.14.0", "1.15.0", "2.2.0", "2.7.0"),
    "FULLY_CONNECTED": (
        *("1.5.0", "1.10.0", "1.14.0", "1.14.0", "2.0.0", "2.1.0", "2.3.0", "2.3.0", "2.3.0"),
        *("2.13.0", "2.15.0", "2.17.0"),
    ),
    "L2_NORMALIZATION": ("1.5.0", "1.14.0"),
    "MAX_POOL_2D": ("1.5.0", "1.14.0", "2.3.0"),
    "MEAN": ("1.6.0", "1.14.0", "2.4.0"),
    "MUL": ("1.5.0", "1.14.0", "1.15.0", "2.3.0", "2.6.0"),
    "PAD": ("1.5.0", "1.14.0", "2.4.0", "2.6.0"),
    "QUANTIZE": ("1.14.0", "1.15.0", "2.7.0"),
    "RELU": ("1.5.0", "2.1.0", "2.5.0"),
    "RESHAPE": ("1.5.0",),
    "RSQRT": ("1.10.0", "2.5.0"),
    "SQRT": ("1.10.0",),
    "SQUARE": ("1.12.0",),
    "SUM": ("1.10.0", "1.15.0"),
}
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Their inputs are: value, kernel, bias."""

_INT8 = {  # version for int8 in and out, where it is not 2
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "QUANTIZE": 1,
    "RESHAPE": 1,
}


@dataclass(frozen=True)
class Need:
    """An operator version that a network holds `count` times, and since when runtimes have it."""

    name: str
    version: int
    count: int
    since: str | None
    """None: not in this tool's table."""

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


def needs(model: Any) -> list[Need]:
    """The operator versions a network holds, by name."""
    counts: dict[tuple[str, int], int] = {}
    for operator in operators(model):
        key = (operator.name, operator.version)
        counts[key] = counts.get(key, 0) + 1
    return [
        Need(name, version, count, _since(name, version))
        for (name, version), count in sorted(counts.items())
    ]


def minimum_runtime(found: list[Need]) -> str:
    """The oldest TFLite release that has all of `found`; "unknown" where the table has a gap."""
    releases = [need.since for need in found]
    if any(release is None for release in releases):
        return "unknown"
    return max((release for release in releases if release), key=_release, default="1.5.0")


def too_new(found: list[Need], runtime: str = OLDEST_RUNTIME) -> list[Need]:
    """Those of `found` that `runtime` lacks, or that are not in the table."""
    return [n for n in found if n.since is None or _release(n.since) > _release(runtime)]


def int8_version(operator: Operator) -> int:
    """The version an operator needs for the types of its tensors as they are now."""
    types = {t.type for t in (*operator.inputs[:1], *operator.outputs[:1]) if t is not None}
    if schema.TensorType.INT8 not in types:
        return operator.version
    return _INT8.get(operator.name, 2)


def _since(name: str, version: int) -> str | None:
    releases = _SINCE.get(name, ())
    return releases[version - 1] if 0 < version <= len(releases) else None


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
