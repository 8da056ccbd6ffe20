"""Mixing with the base network: which mix is taken, and that it is never a worse one."""

from __future__ import annotations

import numpy as np

from edgeface_tools.train.arrays import Arrays
from edgeface_tools.train.mixing import Mix, best_mix, mixed

BASE: Arrays = {"w": np.zeros(2, np.float32)}
TUNED: Arrays = {"w": np.ones(2, np.float32)}
FORGET = 0.0101  # a little more than half of a slope of 0.02


def chosen(peak: float, slope: float | None = None, before: float = 0.0) -> float | None:
    """The share taken where the TAR peaks at `peak` and the general set falls by `slope` a way."""

    def general(share: float) -> float | None:
        return None if slope is None else 0.9 - slope * share

    def judge(weights: Arrays, share: float) -> Mix:
        at = float(weights["w"][0])
        return Mix(share, 0.9 - abs(at - peak), general(at))

    found = best_mix(BASE, TUNED, Mix(0.0, before, general(0)), FORGET, judge)
    return None if found is None else found.share


def test_a_mix_lies_on_the_line_between_the_two() -> None:
    np.testing.assert_allclose(mixed(BASE, TUNED, 0.3)["w"], 0.3)
    np.testing.assert_array_equal(mixed(BASE, TUNED, 1.0)["w"], TUNED["w"])
    assert mixed(BASE, TUNED, 0.3)["w"].dtype == np.float32


def test_the_best_mix_is_taken() -> None:
    assert chosen(peak=0.6) == 0.6
    assert chosen(peak=1.0) == 1.0
    assert chosen(peak=0.6, slope=0.0) == 0.6


def test_a_mix_that_forgot_too_much_is_left_for_one_nearer_to_the_base() -> None:
    assert chosen(peak=1.0, slope=0.02) == 0.5  # where it has lost FORGET
    assert chosen(peak=1.0, slope=0.04) is None  # the first mix tried has lost more


def test_nothing_is_taken_that_is_no_better_than_the_base() -> None:
    assert chosen(peak=0.6, before=0.95) is None
