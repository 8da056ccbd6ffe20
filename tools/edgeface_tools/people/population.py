"""A model measured on many people: the centre and cohort of their embeddings, and score to FAR.

Takes in embeddings of labelled faces, hands on a `Population`: a small file of numbers that is put
into a model's description, so that a model can be rebuilt byte for byte without the pictures. Every
pair is counted, normalized by a cohort that contains neither person, as for a stranger to the
population. Points that too few pairs support are marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeface.errors import ModelError
from edgeface.pipeline.model_file import (
    CohortSpec,
    Description,
    EmbeddingSpec,
    FarPoint,
    ScoreTable,
)
from edgeface_tools.people import cohort as cohorts
from edgeface_tools.people.embed import Embeddings, Lengths
from edgeface_tools.people.records import read_record

POPULATION_FORMAT = 1
FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_FEWEST_ABOVE = 10  # impostor pairs above a score, for its FAR to be more than a guess
_BINS = 1 << 21  # of the cosine, -1 to 1
_BLOCK = 1024
_DIGITS = 6
# The mean of few people is not everybody's: just those few would be distinguished too well.
_FEWEST_PEOPLE = 100
_SHORTER = 0.003  # of faces whose output is shorter than the least length


class Population(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers measured with the model of identity `measured_with` (which has no centre yet).

    A population of fewer than 100 people has no centre, one of fewer than 1,000 pictures no cohort
    and no least length.
    """

    format: int
    measured_with: str
    centre: tuple[float, ...] | None
    scores: ScoreTable
    cohort: CohortSpec | None = msgspec.field(default=None, name="crowd")
    least_length: float | msgspec.UnsetType = msgspec.UNSET


def measure(
    plain: Description,
    embeddings: Embeddings,
    people: Sequence[str],
    measured_on: str,
    lengths: Lengths | None = None,
) -> Population:
    """Count every pair of `embeddings`, made with the description `plain` (no centre yet).

    `lengths` are those of the network's outputs before they became 1.
    """
    centre = cohort = None
    if len(set(people)) >= _FEWEST_PEOPLE:
        centre = _rounded(embeddings.mean(axis=0, dtype=np.float64))
        embeddings = centred(embeddings, centre)
        if len(embeddings) >= cohorts.FEWEST:
            cohort = cohorts.cohort_of(embeddings)
    counts = (count_among_others if cohort else count_scores)(embeddings, people)
    table = table_of(*counts, measured_on)
    least = msgspec.UNSET if lengths is None or cohort is None else _least_length(lengths)
    return Population(POPULATION_FORMAT, plain.identity, centre, table, cohort, least)


def _least_length(lengths: Lengths) -> float:
    """What nearly all faces reach, and hardly anything that is no upright face."""
    return float(f"{np.quantile(lengths, _SHORTER):.3g}")


def without_population(description: Description) -> Description:
    """The description before anything was measured with it."""
    plain = EmbeddingSpec(description.embedding.size)
    return msgspec.structs.replace(
        description, embedding=plain, scores=None, cohort=None, least_length=msgspec.UNSET
    )


def with_population(description: Description, population: Population) -> Description:
    """The description with a population's numbers."""
    embedding = EmbeddingSpec(description.embedding.size, population.centre)
    return msgspec.structs.replace(
        description,
        embedding=embedding,
        scores=population.scores,
        cohort=population.cohort,
        least_length=population.least_length,
    )


def centred(embeddings: Embeddings, centre: Sequence[float]) -> Embeddings:
    """Unit embeddings minus the centre, at unit length again, as the runtime does."""
    moved = embeddings - np.array(centre, np.float32)
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    result: Embeddings = moved / lengths
    return result


def score_table(embeddings: Embeddings, people: Sequence[str], measured_on: str) -> ScoreTable:
    """The score that each share of all impostor pairs reaches."""
    return table_of(*count_scores(embeddings, people), measured_on)


def table_of(
    genuine: NDArray[np.int64], impostor: NDArray[np.int64], measured_on: str
) -> ScoreTable:
    """The table of two histograms as `count_scores` makes them."""
    pairs = int(impostor.sum())
    above = impostor[::-1].cumsum()[::-1]  # pairs in this bin or a higher one
    points = []
    for far in FARS:
        place = int(np.searchsorted(-above, -far * pairs))  # the first bin that few enough reach
        score = float(f"{2 * place / _BINS - 1:.{_DIGITS}g}")
        points.append(FarPoint(far, score, supported=far * pairs >= _FEWEST_ABOVE))
    return ScoreTable(tuple(points), pairs, int(genuine.sum()), measured_on)


def count_scores(
    embeddings: Embeddings, people: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Histograms of the cosine over every genuine and every impostor pair, bins from -1 to 1."""
    numbers = np.unique(np.array(people), return_inverse=True)[1]
    counts = np.zeros((2, _BINS), np.int64)
    for start in range(0, len(numbers), _BLOCK):
        rows = slice(start, start + _BLOCK)
        scores = embeddings[rows] @ embeddings[start:].T
        bins = _bins(scores)
        later = np.arange(scores.shape[1]) > np.arange(scores.shape[0])[:, None]
        same = numbers[rows, None] == numbers[None, start:]
        counts[0] += np.bincount(bins[later & same], minlength=_BINS)
        counts[1] += np.bincount(bins[later & ~same], minlength=_BINS)
    return counts[0], counts[1]


def count_among_others(
    embeddings: Embeddings, people: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As `count_scores`, each pair normalized by a cohort that contains neither person."""
    numbers = np.unique(np.array(people), return_inverse=True)[1]
    counts = np.zeros((2, _BINS), np.int64)
    for normalized, who, part in cohorts.among_others(embeddings, numbers):
        first = part == part.min()
        if first.all():
            counts += count_scores(normalized, who.astype(str).tolist())
        else:  # people of two parts are strangers to each other
            scores = normalized[first] @ normalized[~first].T
            counts[1] += np.bincount(_bins(scores).ravel(), minlength=_BINS)
    return counts[0], counts[1]


def _bins(scores: NDArray[np.float32]) -> NDArray[np.int32]:
    bins: NDArray[np.int32] = ((scores + 1) * (_BINS / 2)).astype(np.int32).clip(0, _BINS - 1)
    return bins


def encoded(population: Population) -> bytes:
    """As JSON."""
    return msgspec.json.format(msgspec.json.encode(population), indent=1) + b"\n"


def load(path: Path) -> Population:
    """Read what `encoded` wrote; ModelError for anything else."""
    return read_record(
        path, Population, POPULATION_FORMAT, "population", "convert-model population"
    )


def check_same_model(population: Population, description: Description, path: Path) -> None:
    """ModelError when the numbers were measured with another network, input or alignment."""
    if population.measured_with != without_population(description).identity:
        raise ModelError(
            f"{path} was measured with another model; make it again with: convert-model population"
        )


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)
