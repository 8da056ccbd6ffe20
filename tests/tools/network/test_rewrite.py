"""The exact rewrites change no output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeface_tools.network.graph import Add, BatchNorm, Graph, Identity
from edgeface_tools.network.rewrite import simplify, swap_colours
from edgeface_tools.network.to_tflite import float_tflite
from edgeface_tools.source.keras2 import read_legacy_h5
from tests.helpers.interpreters import run
from tests.helpers.networks import SIDE, small_facenet


@pytest.fixture(params=[0, 1, 2])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Graph:
    return read_legacy_h5(small_facenet(request.param).save(tmp_path / "model.h5"))


def test_folding_changes_no_output_beyond_rounding(network: Graph) -> None:
    picture = np.random.default_rng(5).normal(size=(SIDE, SIDE, 3))
    before, after = (
        run(float_tflite(network), picture),
        run(float_tflite(simplify(network)), picture),
    )
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


def test_nothing_is_left_to_fold(network: Graph) -> None:
    for node in simplify(network).nodes:
        assert not isinstance(node.operation, BatchNorm | Identity), node.name
        assert node.operation == Add() or not isinstance(node.operation, Add)


def test_swapped_colours_take_the_other_order(network: Graph) -> None:
    picture = np.random.default_rng(6).normal(size=(SIDE, SIDE, 3))
    swapped = swap_colours(network)
    assert swapped is not None
    rgb, bgr = float_tflite(network), float_tflite(swapped)
    np.testing.assert_allclose(
        run(bgr, picture[..., ::-1]), run(rgb, picture), rtol=1e-4, atol=1e-5
    )
    assert not np.allclose(run(bgr, picture), run(rgb, picture), rtol=1e-2)
