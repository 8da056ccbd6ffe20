"""Squares: what a search looks at, so that no face of the size wanted lies across every edge."""

from __future__ import annotations

import itertools

import pytest

from edgeface.pipeline.geometry import Box
from edgeface.pipeline.squares import SURELY_FOUND, around, levels

SIZES = [(640, 480), (480, 640), (1280, 720), (1920, 1080), (1000, 1000), (4000, 3000), (700, 60)]


def test_without_a_size_the_whole_frame_is_searched_once() -> None:
    ((whole,),) = levels(640, 480, None)
    assert (whole.x, whole.y, whole.side) == (0, -80, 640)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_smallest_squares_find_faces_of_the_size_wanted(width: int, height: int) -> None:
    *_, last = levels(width, height, 40)
    assert last[0].side / 8 <= 40


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_face_that_a_level_may_miss_lies_whole_in_a_square_of_the_next(
    width: int, height: int
) -> None:
    plan = list(levels(width, height, 40))
    for coarse, fine in itertools.pairwise(plan):
        face = SURELY_FOUND * coarse[0].side
        for along, length in (("x", width), ("y", height)):
            starts = sorted({getattr(square, along) for square in fine})
            assert starts[0] <= 0
            assert starts[-1] + fine[0].side >= length
            for before, after in itertools.pairwise(starts):
                assert before + fine[0].side - after >= face


def test_a_camera_frame_takes_few_squares() -> None:
    assert sum(map(len, levels(640, 480, 40))) == 7  # 15 with squares that share a third
    assert sum(map(len, levels(1280, 720, 40))) <= 25  # 85


def test_a_square_around_a_face_has_it_in_the_middle() -> None:
    square = around(Box(500, 300, 200, 200))
    assert square.side == pytest.approx(2.2 * 200, abs=4)
    assert square.x + square.side / 2 == pytest.approx(600, abs=1)
    assert square.y + square.side / 2 == pytest.approx(400, abs=1)
