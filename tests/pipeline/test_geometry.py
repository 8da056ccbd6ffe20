"""Geometry: the transform found is the one that was applied, and the best one otherwise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.pipeline.geometry import Box, apply, inverse, overlap, similarity

coordinate = st.floats(-500, 500)
triangle = st.tuples(*[st.tuples(coordinate, coordinate)] * 3).map(np.array)
size = st.floats(0.1, 500)
box = st.builds(Box, coordinate, coordinate, size, size)


def spread(points: np.ndarray) -> float:
    return float(np.abs(points - points.mean(axis=0)).max())


@given(triangle, st.floats(0.1, 10), st.floats(-math.pi, math.pi), coordinate, coordinate)
def test_a_similarity_is_found_again(
    points: np.ndarray, scale: float, angle: float, x: float, y: float
) -> None:
    if spread(points) < 1:
        return
    turn = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    applied = np.column_stack((turn, (x, y)))
    assert np.allclose(similarity(points, apply(applied, points)), applied, atol=1e-6)


@given(triangle, triangle, st.integers(0, 3), st.floats(-0.05, 0.05))
def test_no_neighbouring_similarity_fits_better(
    source: np.ndarray, target: np.ndarray, which: int, nudge: float
) -> None:
    if spread(source) < 1:
        return
    best = similarity(source, target)
    a, b, x, y = best[0, 0], best[1, 0], best[0, 2], best[1, 2]
    parameters = [a, b, x, y]
    parameters[which] += nudge
    a, b, x, y = parameters
    other = np.array([[a, -b, x], [b, a, y]])
    error = np.sum((apply(best, source) - target) ** 2)
    assert error <= np.sum((apply(other, source) - target) ** 2) + 1e-6 * (1 + error)


def test_coinciding_points_have_no_similarity() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity(np.ones((3, 2)), np.eye(3, 2))


@given(triangle, st.floats(0.1, 10), coordinate)
def test_the_inverse_undoes(points: np.ndarray, scale: float, shift: float) -> None:
    matrix = np.array([[scale, 0.5, shift], [-0.5, scale, -shift]])
    assert np.allclose(apply(inverse(matrix), apply(matrix, points)), points, atol=1e-6)


@given(box, box)
def test_overlap_is_symmetric_and_between_0_and_1(one: Box, other: Box) -> None:
    assert 0 <= overlap(one, other) <= 1 + 1e-9
    assert overlap(one, other) == pytest.approx(overlap(other, one))
    assert overlap(one, one) == pytest.approx(1)
