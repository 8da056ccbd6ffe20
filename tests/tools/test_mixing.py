"""The way back towards the base network: which mix is taken, and that it is never a worse one."""

from __future__ import annotations

import numpy as np

from edgeface_tools.arrays import Arrays
from edgeface_tools.mixing import Mix, best_mix, mixed

BASE: Arrays = {"w": np.zeros(2, np.float32)}
TUNED: Arrays = {"w": np.ones(2, np.float32)}


def chosen(tar: float, general: float | None, peak: float, slope: float = 0.0) -> float:
    """The share taken where the TAR peaks at `peak` and the general set falls by `slope`."""

    def judge(weights: Arrays, share: float) -> Mix:
        at = float(weights["w"][0])
        kept = None if general is None else general - slope * at
        return Mix(share, 0.9 - abs(at - peak), kept)

    tuned_general = None if general is None else general - slope
    return best_mix(BASE, Mix(1.0, tar, tuned_general), TUNED, general, judge).share


def test_a_mix_lies_on_the_line_between_the_two() -> None:
    np.testing.assert_allclose(mixed(BASE, TUNED, 0.3)["w"], 0.3)
    assert mixed(BASE, TUNED, 0.3)["w"].dtype == np.float32


def test_the_best_mix_is_taken_and_never_a_worse_one() -> None:
    assert chosen(0.5, None, peak=0.6) == 0.6
    assert chosen(0.95, None, peak=0.6) == 1.0


def test_a_mix_that_loses_on_the_general_set_is_left() -> None:
    assert chosen(0.5, 0.9, peak=0.6) == 0.6
    assert chosen(0.5, 0.9, peak=0.6, slope=0.1) == 1.0
