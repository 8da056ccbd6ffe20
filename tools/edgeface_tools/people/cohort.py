"""The cohort of a population: faces that represent it, and scores measured without bias by it.

Takes in embeddings with their people, hands on a `CohortSpec`, or embeddings normalized by the
cohort of other people. It counts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.cohort import Rows, cohort_rows, normalize, unit
from edgeface.pipeline.model_file import CohortSpec

FEWEST = 1000
"""With fewer pictures, too few to cover the space of faces, a model has no cohort."""

# Chosen on LFW View 1 train, cross-validated by person (docs/accuracy.md).
STRENGTH, SHARPNESS, NEAREST_LEFT_OUT = 0.4, 12.0, 2
_FACES = 512
_ROUNDS = 15
_PARTS = 8


def cohort_of(embeddings: Rows) -> CohortSpec:
    """The centres of `embeddings` (unit rows) by spherical k-means, as int8."""
    centres = embeddings[np.random.default_rng(0).permutation(len(embeddings))[:_FACES]]
    for _ in range(_ROUNDS):
        nearest = (embeddings @ centres.T).argmax(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, embeddings)
        alive = np.bincount(nearest, minlength=len(centres)) > 0
        centres = np.where(alive[:, np.newaxis], sums, centres)
        centres = unit(centres)
    whole = np.rint(centres * (127 / np.abs(centres).max(axis=1, keepdims=True)))
    faces = whole.astype(np.int8).tobytes()
    return CohortSpec(faces, STRENGTH, SHARPNESS, NEAREST_LEFT_OUT)


def among_others(
    embeddings: Rows, people: NDArray[np.int64]
) -> Iterator[tuple[Rows, NDArray[np.int64], NDArray[np.int64]]]:
    """The embeddings, normalized by cohorts that do not contain them, so that each pair comes once.

    The people are divided into parts. For every two parts it yields their embeddings, normalized by
    the cohort of all other parts, with their people and parts: the pairs to count are those of one
    part with the other (or, where only one part is given, those within it).
    """
    draw = np.random.default_rng(0).permutation(int(people.max()) + 1) % _PARTS
    part = draw[people]
    size = embeddings.shape[1]
    for first in range(_PARTS):
        for second in range(first, _PARTS):
            here = (part == first) | (part == second)
            spec = cohort_of(embeddings[~here])
            normalized = normalize(embeddings[here], cohort_rows(spec, size), spec)
            yield normalized, people[here], part[here]
