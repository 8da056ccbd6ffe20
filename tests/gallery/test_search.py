"""Both kernels give the same whole numbers, for any number of templates."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from edgeface.gallery import search as gallery_search
from edgeface.gallery.search import Searcher, quantize


def unit_rows(count: int, numbers: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, numbers)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("count", [0, 1, 2, 511, 512, 513, 4097, 9000])
@pytest.mark.parametrize("numbers", [1, 16, 128, 512])
def test_the_kernels_agree_to_the_last_bit(
    count: int, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, scales = quantize(unit_rows(count, numbers) if count else np.ones((1, numbers), "f4"))
    rows, scales = rows[:count], scales[:count]
    probe = unit_rows(1, numbers, seed=1)[0]
    fast = Searcher(rows, scales).scores(probe).copy()
    monkeypatch.setattr(gallery_search, "simsimd", None)
    assert np.array_equal(fast, Searcher(rows, scales).scores(probe))
    exact = (rows.astype(np.float64) * scales[:, None]) @ probe
    np.testing.assert_allclose(fast, exact, atol=0.01)


def test_quantizing_keeps_unit_length_and_direction() -> None:
    rows = unit_rows(200, 128)
    quantized, scales = quantize(rows)
    back = quantized * scales[:, None]
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1, atol=1e-5)
    assert (back * rows).sum(axis=1).min() > 0.9995
    again, same = quantize(back)
    assert np.array_equal(again, quantized)
    np.testing.assert_allclose(same, scales, rtol=1e-6)


def test_a_search_leaves_no_reference_missing() -> None:
    """simsimd 6.5's `out=` drops one to None at each call, which ends the process in time."""
    searcher = Searcher(*quantize(unit_rows(10, 128)))
    probe = unit_rows(1, 128)[0]
    before = sys.getrefcount(None)
    for _ in range(1000):
        searcher.scores(probe)
    assert abs(sys.getrefcount(None) - before) < 100
