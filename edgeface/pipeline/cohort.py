"""Cohort: moves an embedding away from the faces that resemble it.

Takes in unit embeddings as the network gives them, hands on unit embeddings whose dot product is
the score. First the mean of a population is subtracted, then, since some faces have more lookalikes
than others, a share of the mean of the cohort around this face. Score normalization by a cohort
does this to scores (Auckenthaler, Carey and Lloyd-Thomas 2000, "Score Normalization for
Text-Independent Speaker Verification Systems"); done to the embedding, scores stay cosines, and
templates and searches need not know of it. It opens no network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import FaceError, ModelError
from edgeface.pipeline.model_file import CohortSpec, Description

_LENIENT = 20.0  # times the rate that is promised
_FEWEST_PAIRS = 50  # that count, however many pairs there are

Rows = NDArray[np.float32]
"""Shape (m, n), each row of unit length."""


class Cohort:
    """A model's mean and cohort, ready for use; without them it changes nothing."""

    def __init__(self, description: Description) -> None:
        size = description.embedding.size
        centre, spec = description.embedding.centre, description.cohort
        self._centre = None if centre is None else np.array(centre, np.float32)
        self._spec = spec
        if spec is not None:
            self._faces = cohort_rows(spec, size)

    def normalize(self, embeddings: Rows) -> Rows:
        """The embeddings (shape (m, n)) as they are compared; new rows of unit length.

        Raises FaceError where a row is left without a direction.
        """
        if self._centre is not None:
            embeddings = unit(embeddings - self._centre)
        return embeddings if self._spec is None else normalize(embeddings, self._faces, self._spec)


def refuse_lenient(description: Description) -> None:
    """Hold the score table against the cohort, whose faces are of different people.

    Their scores with each other are impostor scores. Raises ModelError where far more of them reach
    a threshold than its false accept rate says; a model without both cannot be checked.
    """
    if description.cohort is None or description.scores is None:
        return
    rows = cohort_rows(description.cohort, description.embedding.size)
    rows = Cohort(description).normalize(rows)
    scores = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    for point in description.scores.points:
        reached = float((scores >= point.score).mean())
        # Scores within the cohort are not those of a population: only a gross difference counts.
        if reached > max(_LENIENT * point.far, _FEWEST_PAIRS / scores.size):
            raise ModelError(
                f"the model's scores cannot be trusted: {reached:.0%} of different people reach "
                f"the threshold for a false accept rate of {point.far:g}; convert the model again"
            )


def cohort_rows(spec: CohortSpec, size: int) -> Rows:
    """The cohort's faces as unit rows; ModelError unless there are enough, of `size` numbers."""
    if len(spec.faces) % size or len(spec.faces) // size <= spec.nearest_left_out:
        raise ModelError("the model's cohort does not fit its embeddings; convert the model again")
    return unit(np.frombuffer(spec.faces, np.int8).reshape(-1, size).astype(np.float32))


def normalize(embeddings: Rows, faces: Rows, spec: CohortSpec) -> Rows:
    """e - strength * (mean of the cohort's faces c, weighted by exp(sharpness * e.c)), at unit
    length, for each row e; the nearest `nearest_left_out` faces have no weight."""
    alike = embeddings @ faces.T
    if spec.nearest_left_out:
        nearest = np.argpartition(alike, -spec.nearest_left_out, axis=1)
        np.put_along_axis(alike, nearest[:, -spec.nearest_left_out :], -np.inf, axis=1)
    weights = np.exp(spec.sharpness * (alike - alike.max(axis=1, keepdims=True)))
    weights /= weights.sum(axis=1, keepdims=True)
    return unit(embeddings - np.float32(spec.strength) * (weights @ faces))


def unit(rows: Rows) -> Rows:
    """Rows at unit length; FaceError where one has no direction."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise FaceError("the network gave no embedding for this face; use another picture")
    result: Rows = rows / lengths[:, np.newaxis].astype(np.float32)
    return result
