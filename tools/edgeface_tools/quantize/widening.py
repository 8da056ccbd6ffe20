"""Widens a quantized network until it loses no more than was allowed.

Takes in a way to quantize with some layers left in float, the noise of each layer and a way to
measure, hands on the first network that holds the limit. The noisiest layers come first, and twice
as many each time, so that a deep network takes a few measurements and not hundreds. It reads no
pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from edgeface.errors import ModelError
from edgeface_tools.quantize.sqnr import LayerNoise


class Widened(msgspec.Struct, frozen=True):
    """What was left in float to hold a limit, and what was measured."""

    far: float
    most_drop: float
    """Percentage points of TAR that could be lost."""
    float_tar: float
    first_tar: float
    """Of the network with no layer left in float."""
    tar: float
    layers: list[str]


def widened(
    quantized: Callable[[Sequence[str]], bytes],
    noise: Sequence[LayerNoise],
    tar: Callable[[bytes], float],
    float_tar: float,
    far: float,
    most_drop: float,
) -> tuple[bytes, Widened]:
    """The network whose TAR is at most `most_drop` percentage points below `float_tar`.

    ModelError where none is, which only another calibration or precision can mend.
    """
    order = [one.layer for one in sorted(noise, key=lambda one: one.sqnr_db)]
    count, first = 0, None
    while True:
        layers = order[:count]
        network = quantized(layers)
        found = tar(network)
        first = found if first is None else first
        if 100 * (float_tar - found) <= most_drop:
            return network, Widened(far, most_drop, float_tar, first, found, layers)
        if count >= len(order):
            raise ModelError(
                f"even with every layer in float {100 * (float_tar - found):.2f} percentage points "
                f"of TAR at FAR {far:g} are lost, {most_drop:g} are allowed; nothing written: use "
                "--precision float16, or raise --max-drop"
            )
        count = min(len(order), max(1, 2 * count))
