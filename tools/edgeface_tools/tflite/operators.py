"""Which version each TFLite operator needs, and which runtimes know it.

Takes in a network's flatbuffer, hands on what it needs and whether the oldest supported runtime has
it. What each runtime has was found by trying (versions.json, made by benchmarks/operators.py); the
version that an operator needs for the types of its tensors follows TFLite's own rules
(tools/versioning/op_version.cc). It runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from ai_edge_litert import schema_py_generated as schema

from edgeface_tools.tflite.flatbuffer import Operator, operators

OLDEST_RUNTIME = "2.14.0"
"""tflite-runtime's last release, the oldest that the package supports."""

_TRIED = Path(__file__).with_name("versions.json")

# By operator: the TFLite release that introduced versions 1, 2, 3, ... For the others it is only
# known whether the oldest supported runtime has them.
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
_FLOAT = schema.TensorType.FLOAT32
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Their inputs are: value, kernel, bias."""

# The version for quantized values in and out, where it is not 2 (int8) or 3 (int16).
_INT8 = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "QUANTIZE": 1,
    "RESHAPE": 1,
}
_INT16 = {
    "CONV_2D": 4,
    "DEPTHWISE_CONV_2D": 5,
    "FULLY_CONNECTED": 7,
    "MUL": 4,
    "QUANTIZE": 2,
    "RESHAPE": 1,
}
# The versions for float values and int8 weights: with one scale, and with one per channel.
_HYBRID = {
    "CONV_2D": (2, 5),
    "DEPTHWISE_CONV_2D": (4, 6),
    "FULLY_CONNECTED": (3, 12),
}


@dataclass(frozen=True)
class Need:
    """An operator version that a network uses `count` times, and the release that introduced it."""

    name: str
    version: int
    count: int
    since: str | None
    """The oldest supported release where an older one may have it too; None where that lacks it."""

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


def needs(model: Any) -> list[Need]:
    """The operator versions that a network uses, by name."""
    counts: dict[tuple[str, int], int] = {}
    for operator in operators(model):
        key = (operator.name, max(operator.version, needed_version(operator)))
        counts[key] = counts.get(key, 0) + 1
    return [
        Need(name, version, count, _since(name, version))
        for (name, version), count in sorted(counts.items())
    ]


def minimum_runtime(found: list[Need]) -> str:
    """The oldest TFLite release that has all of `found`; "unknown" if any is not in the table."""
    releases = [need.since for need in found]
    if any(release is None for release in releases):
        return "unknown"
    return max((release for release in releases if release), key=_release, default="1.5.0")


def too_new(found: list[Need], runtime: str = OLDEST_RUNTIME) -> list[Need]:
    """Those of `found` that `runtime` lacks; for the oldest supported one, by what was tried."""
    if runtime == OLDEST_RUNTIME:
        return [n for n in found if n.version > _tried().oldest.get(n.name, 0)]
    return [n for n in found if n.since is None or _release(n.since) > _release(runtime)]


class _Versions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The highest version of each operator in the oldest and in the newest runtime tried."""

    oldest: dict[str, int]
    newest: dict[str, int]


@cache
def _tried() -> _Versions:
    return msgspec.json.decode(_TRIED.read_bytes(), type=_Versions)


def needed_version(operator: Operator) -> int:
    """The lowest version whose rules cover the types of an operator's tensors.

    A file may record a lower version than it needs: a runtime that trusts the record then loads it
    and computes nonsense (weights by channel, for a FULLY_CONNECTED that expects one scale).
    """
    value = operator.inputs[0]
    types = {t.type for t in (value, operator.outputs[0]) if t is not None}
    kernel = operator.inputs[1] if operator.name in WEIGHTED else None
    if kernel is not None and value.type == _FLOAT and kernel.type == schema.TensorType.INT8:
        return _HYBRID[operator.name][_is_by_channel(kernel)]
    if operator.name == "DEQUANTIZE" and value.type == schema.TensorType.FLOAT16:
        return 3
    if schema.TensorType.INT16 in types:
        wanted = _INT16.get(operator.name, 3)
    elif schema.TensorType.INT8 in types:
        wanted = _INT8.get(operator.name, 2)
    else:
        return 1
    # An operator that has no such version took these types from its first one on.
    return min(wanted, _tried().newest.get(operator.name, wanted))


def _is_by_channel(tensor: Any) -> bool:
    scales = tensor.quantization.scale if tensor.quantization is not None else None
    return scales is not None and len(scales) > 1


def _since(name: str, version: int) -> str | None:
    releases = _SINCE.get(name, ())
    if 0 < version <= len(releases):
        return releases[version - 1]
    return OLDEST_RUNTIME if version <= _tried().oldest.get(name, 0) else None


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
