"""The score-to-FAR table counts every pair and does not claim what pairs cannot show."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeface.errors import ModelError
from edgeface.pipeline.cohort import cohort_rows, normalize, unit
from edgeface.pipeline.model_file import load_model
from edgeface_tools.people import population as populations
from edgeface_tools.people.cohort import cohort_of
from edgeface_tools.people.embed import Embeddings
from edgeface_tools.people.population import (
    Population,
    centred,
    count_among_others,
    count_scores,
    score_table,
)


def people_like(count: int, each: int, seed: int = 0) -> tuple[Embeddings, list[str]]:
    """Unit vectors gathered around one direction for each person."""
    random = np.random.default_rng(seed)
    centres = np.repeat(random.normal(size=(count, 16)), each, axis=0)
    rows = centres + 0.4 * random.normal(size=centres.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), [f"person {i}" for i in range(count) for _ in range(each)]


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 40), each=st.integers(2, 4), seed=st.integers(0, 99))
def test_every_pair_is_counted_once(count: int, each: int, seed: int) -> None:
    embeddings, people = people_like(count, each, seed)
    genuine, impostor = count_scores(embeddings, people)
    total = len(people) * (len(people) - 1) // 2
    assert genuine.sum() == count * each * (each - 1) // 2
    assert genuine.sum() + impostor.sum() == total


def test_blocks_give_what_all_at_once_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    # Multiples of 1/8: every product and sum is exact in float32, whatever order a processor adds
    # them in, so that no score moves across the edge of a bin with the shape of a block.
    random = np.random.default_rng(0)
    embeddings = (random.integers(-2, 3, (180, 16)) / 8).astype(np.float32)
    people = [f"person {number // 3}" for number in range(180)]
    whole = count_scores(embeddings, people)
    assert min(np.count_nonzero(counts) for counts in whole) > 20  # many different scores
    monkeypatch.setattr(populations, "_BLOCK", 7)
    np.testing.assert_array_equal(count_scores(embeddings, people), whole)


def test_the_share_above_each_score_is_its_far() -> None:
    embeddings, people = people_like(400, 3)
    table = score_table(embeddings, people, "made up")
    scores = embeddings.astype(float) @ embeddings.T.astype(float)
    numbers = np.unique(people, return_inverse=True)[1]
    upper = np.triu(np.ones_like(scores, bool), 1)
    impostors = scores[upper & (numbers[:, None] != numbers[None])]
    assert table.impostor_pairs == len(impostors)
    for point in table.points:
        above = (impostors >= point.score + 2e-6).mean()
        assert above <= point.far
        if point.supported:
            assert (impostors >= point.score - 2e-6).mean() >= point.far * 0.99


def test_scores_rise_as_the_far_falls() -> None:
    table = score_table(*people_like(100, 3), "made up")
    scores = [point.score for point in table.points]
    assert scores == sorted(scores)
    assert [point.far for point in table.points] == [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]


def test_a_far_that_the_pairs_cannot_show_is_marked() -> None:
    embeddings, people = people_like(100, 3)  # 44,550 impostor pairs
    supported = [point.supported for point in score_table(embeddings, people, "").points]
    assert supported == [True, True, True, False, False, False]


def test_centring_is_what_the_runtime_does() -> None:
    embeddings, _ = people_like(10, 2)
    moved = centred(embeddings, embeddings.mean(axis=0).tolist())
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, rtol=1e-6)
    one = embeddings[3] - embeddings.mean(axis=0)
    np.testing.assert_allclose(moved[3], one / np.linalg.norm(one), rtol=1e-5)


def test_only_the_mean_of_many_people_is_a_centre() -> None:
    plain = load_model().description
    few, people = people_like(99, 2)
    assert populations.measure(plain, few, people, "").centre is None
    many, people = people_like(100, 2)
    centre = populations.measure(plain, many, people, "").centre
    assert centre is not None
    np.testing.assert_allclose(centre, many.mean(axis=0), rtol=1e-4, atol=1e-6)


def test_only_many_faces_show_how_long_an_output_is() -> None:
    plain = load_model().description
    lengths = np.linspace(5, 15, 1200)
    few, some = people_like(150, 2)
    assert populations.measure(plain, few, some, "", lengths[:300]).least_length is msgspec.UNSET
    many, people = people_like(600, 2)
    measured = populations.measure(plain, many, people, "", lengths)
    assert measured.least_length == pytest.approx(5 + 0.003 * 10, abs=0.01)
    described = populations.with_population(plain, measured)
    assert described.least_length == measured.least_length
    assert populations.without_population(described).least_length is msgspec.UNSET


def test_a_population_survives_its_file(tmp_path: Path) -> None:
    embeddings, people = people_like(20, 2)
    table = score_table(embeddings, people, "made up")
    numbers = Population(1, "0" * 64, (0.1, -0.2), table, cohort_of(embeddings))
    path = tmp_path / "population.json"
    path.write_bytes(populations.encoded(numbers))
    assert populations.load(path) == numbers


@pytest.mark.parametrize("content", [b"", b"{}", b"nonsense"])
def test_a_file_without_a_population_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "population.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="holds no population"):
        populations.load(path)


def test_a_cohort_helps_strangers_and_does_not_harm_its_own_people() -> None:
    """TAR at a FAR of 1e-3 must rise for people who are not in the cohort, and the table's FARs
    must be right for them."""
    random = np.random.default_rng(3)
    kinds = random.normal(size=(12, 16))  # people come in kinds that resemble each other
    middles = kinds[random.integers(0, 12, 900)] + 0.9 * random.normal(size=(900, 16))
    pictures = np.repeat(middles, 2, axis=0) + 0.4 * random.normal(size=(1800, 16))
    rows = unit(pictures.astype(np.float32))
    people = np.repeat(np.arange(900), 2)
    known, strangers = people < 600, people >= 600
    spec = cohort_of(rows[known])
    normalized = normalize(rows[strangers], cohort_rows(spec, 16), spec)
    names = people[strangers].astype(str).tolist()
    assert tar(count_scores(normalized, names)) > tar(count_scores(rows[strangers], names))
    told = count_among_others(rows[known], people[known].astype(str).tolist())
    assert told[0].sum() == 600
    assert told[1].sum() == 1200 * 1199 // 2 - 600
    limit = int(np.searchsorted(-told[1][::-1].cumsum()[::-1], -1e-2 * told[1].sum()))
    impostor = count_scores(normalized, names)[1]
    assert impostor[limit:].sum() / impostor.sum() == pytest.approx(1e-2, rel=0.5)


def tar(counts: tuple[np.ndarray, np.ndarray], far: float = 1e-3) -> float:
    genuine, impostor = counts
    limit = int(np.searchsorted(-impostor[::-1].cumsum()[::-1], -far * impostor.sum()))
    return float(genuine[limit:].sum() / genuine.sum())
