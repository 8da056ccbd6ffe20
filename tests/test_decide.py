"""The threshold gives the wanted error rate, whatever the gallery's size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.proofs import gallery as proofs
from edgeface.decide import (
    AMBIGUOUS,
    chances,
    correction_for,
    decide,
    decide_among,
    identification_threshold,
    threshold_for_far,
    verification_threshold,
)
from edgeface.errors import ConfigError, ModelError
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.gallery import Gallery, Match
from edgeface.gallery.names import person_name
from edgeface.pipeline.model_file import FarPoint, ScoreTable


def faces(count: int, seed: int) -> np.ndarray:
    """Embeddings of people who have nothing to do with each other, shape (count, n)."""
    found = np.random.default_rng(seed).standard_normal((count, proofs.NUMBERS))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    """A model whose table was measured on such faces."""
    scores = np.sort((faces(3000, 1) @ faces(3000, 2).T).ravel())[::-1]
    points = tuple(
        FarPoint(far, float(scores[round(far * scores.size)]))
        for far in (0.1, 1e-2, 1e-3, 1e-4, 1e-5)
    )
    table = ScoreTable(points, scores.size, 0, "made-up faces")
    description = SimpleNamespace(embedding=SimpleNamespace(size=proofs.NUMBERS), scores=table)
    return SimpleNamespace(identity="c" * 64, path=Path("model.tflite"), description=description)


@pytest.mark.parametrize("people", [1, 10, 100, 1000])
@pytest.mark.parametrize("templates", [1, 3])
def test_a_stranger_is_refused_by_every_gallery_size(
    people: int, templates: int, model: Any, tmp_path: Path
) -> None:
    taken = strangers = 0
    for draw in range(max(1, 60 // people)):
        with GalleryChange.open(tmp_path / f"{draw}", model) as change:
            centre = faces(people, 10 + draw).repeat(templates, axis=0)
            near = centre + 0.7 * faces(len(centre), 500 + draw)
            rows = near / np.linalg.norm(near, axis=1, keepdims=True)
            change.add_people(
                {f"{i}": rows[templates * i : templates * (i + 1)] for i in range(people)}
            )
        gallery = change.gallery
        threshold = identification_threshold(model, 0.01, gallery.template_counts)
        for stranger in faces(1500 if people > 10 else 300, 1000 + draw):
            strangers += 1
            taken += decide_among(gallery.search(stranger, most=2), threshold).match
    assert 0.003 < taken / strangers < 0.02


@given(st.floats(1e-6, 0.5), st.integers(1, 10_000), st.integers(1, 8))
def test_a_larger_gallery_never_lowers_the_threshold(
    fpir: float, people: int, templates: int
) -> None:
    counts = np.full(people, templates)
    assert chances(np.append(counts, 1)) > chances(counts) >= 1
    assert chances(counts + 1) > chances(counts)
    assert chances(counts) <= people * templates


def test_a_stricter_rate_gives_a_higher_threshold(model: Any) -> None:
    rates = (0.05, 1e-2, 1e-3, 1e-4, 1e-7)
    found = [threshold_for_far(model, rate) for rate in rates]
    assert found == sorted(found)
    alone = [verification_threshold(model, rate, 1) for rate in rates]
    assert alone == pytest.approx(found)
    assert all(
        verification_threshold(model, rate, 3) > one for rate, one in zip(rates, alone, strict=True)
    )


@pytest.mark.parametrize("rate", [0, 1, -0.1, 2, float("nan")])
def test_an_impossible_rate_is_refused(rate: float, model: Any) -> None:
    with pytest.raises(ConfigError, match="--far must lie between 0 and 1"):
        verification_threshold(model, rate, 1)
    with pytest.raises(ConfigError, match="--fpir must lie between 0 and 1"):
        identification_threshold(model, rate, [1])


def test_a_model_without_a_table_is_refused(model: Any) -> None:
    bare = SimpleNamespace(path=model.path, description=SimpleNamespace(scores=None))
    with pytest.raises(ModelError, match="score-to-FAR table"):
        identification_threshold(bare, 0.01, [1])  # type: ignore[arg-type]


def test_a_score_must_reach_the_threshold() -> None:
    assert decide("ada", 0.5, 0.5).match
    assert not decide("ada", 0.4999, 0.5).match
    assert not decide("ada", float("nan"), 0.5).match


def test_the_best_person_is_taken_unless_another_is_as_near() -> None:
    ada, bob = Match(person_name("ada"), 0.8, 1), Match(person_name("bob"), 0.8 - 2 * AMBIGUOUS, 1)
    clear = decide_among([ada, bob], 0.5)
    assert (clear.name, clear.match, clear.note) == ("ada", True, None)
    unclear = decide_among([ada, replace(bob, score=0.8 - AMBIGUOUS / 2)], 0.5)
    assert (unclear.name, unclear.match) == (None, False)
    assert unclear.note is not None
    assert "ada" in unclear.note
    assert "bob" in unclear.note


@pytest.mark.parametrize(
    "best", [[], [Match(person_name("ada"), 0.49, 1)], [Match(person_name("ada"), float("nan"), 1)]]
)
def test_nobody_is_taken_below_the_threshold(best: list[Match]) -> None:
    decision = decide_among(best, 0.5)
    assert (decision.name, decision.match) == (None, False)


def alike(people: int, templates: int, share: float) -> dict[str, np.ndarray]:
    """People who have a common direction: `share` of it is in every template."""
    common, own = faces(1, 7), faces(people, 8).repeat(templates, axis=0)
    rows = share * common + own + 0.3 * faces(people * templates, 9)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return {f"{i}": rows[templates * i : templates * (i + 1)] for i in range(people)}


def gallery_of(folder: Path, model: Any, people: dict[str, np.ndarray]) -> Gallery:
    with GalleryChange.open(folder / "gallery", model) as change:
        change.add_people(people)
    return change.gallery


@pytest.mark.parametrize(("people", "templates"), [(10, 1), (10, 3), (100, 1)])
def test_strangers_who_look_like_the_enrolled_pass_no_more_often_for_it(
    people: int, templates: int, model: Any, tmp_path: Path
) -> None:
    known = alike(people + 300, templates, 0.7)
    strangers = [known.pop(name)[0] for name in list(known)[people:]]
    gallery = gallery_of(tmp_path, model, known)
    correction = correction_for(model, gallery)
    rates = []
    for threshold in (
        identification_threshold(model, 0.01, gallery.template_counts),
        identification_threshold(model, 0.01, gallery.template_counts, correction),
    ):
        found = [decide_among(gallery.search(one, most=2), threshold).match for one in strangers]
        rates.append(np.mean(found))
    assert rates[0] > 0.1
    assert rates[1] <= 0.02
    assert correction.sentence is not None


@pytest.mark.parametrize("people", [2, 4, 30, 200])
def test_people_who_do_not_look_alike_cost_no_threshold(
    people: int, model: Any, tmp_path: Path
) -> None:
    known = {f"{i}": row[np.newaxis] for i, row in enumerate(faces(people, 3))}
    correction = correction_for(model, gallery_of(tmp_path, model, known))
    assert correction.raised < 0.02
    assert correction.sentence is None


def test_one_pair_of_twins_raises_no_threshold(model: Any, tmp_path: Path) -> None:
    known = {f"{i}": row[np.newaxis].repeat(3, axis=0) for i, row in enumerate(faces(8, 3))}
    usual = correction_for(model, gallery_of(tmp_path / "a", model, known)).raised
    known["7"] = known["6"]
    twins = correction_for(model, gallery_of(tmp_path / "b", model, known)).raised
    assert twins == pytest.approx(usual, abs=0.05)
