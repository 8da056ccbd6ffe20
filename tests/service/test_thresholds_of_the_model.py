"""The service's limits for one person follow the model's own score table."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from edgeface.liveness import Likeness
from edgeface.pipeline.model_file import load_model
from edgeface.service.proof import ProofTools


@pytest.fixture(scope="module")
def shipped() -> Any:
    return load_model()


def shifted(model: Any, by: float) -> Any:
    """The model, had its impostors scored so much higher."""
    table = model.description.scores
    points = tuple(msgspec.structs.replace(point, score=point.score + by) for point in table.points)
    description = SimpleNamespace(scores=msgspec.structs.replace(table, points=points))
    return SimpleNamespace(path=model.path, description=description)


def tools(model: Any) -> ProofTools:
    pipeline: Any = SimpleNamespace(model=model, mesh=None)
    return ProofTools(pipeline)


def test_the_shipped_model_s_thresholds_are_those_that_were_measured(shipped: Any) -> None:
    assert tools(shipped).same_person == pytest.approx(0.40, abs=5e-4)
    assert Likeness.of(shipped) == pytest.approx((0.30, 0.50), abs=5e-4)


@pytest.mark.parametrize("by", [-0.1, 0.15])
def test_they_move_with_the_table(shipped: Any, by: float) -> None:
    other = shifted(shipped, by)
    assert tools(other).same_person == pytest.approx(tools(shipped).same_person + by)
    here, there = Likeness.of(shipped), Likeness.of(other)
    assert there == pytest.approx((here.least + by, here.mean + by))
