"""A score-to-FAR table for a model that nobody has measured yet: a guess, and marked as one.

Takes in embeddings of a few faces labelled by person, hands on a `ScoreTable` in which every point
is marked as unsupported. With it a new model can be tried; a model to rely on must be measured on
labelled pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from edgeface.pipeline.model_file import FarPoint, ScoreTable
from edgeface_tools.people.embed import Embeddings
from edgeface_tools.people.population import FARS

_HIGHEST = 1 - 1e-6  # what the cosine of a vector with itself reaches in float32


def guessed_table(embeddings: Embeddings, people: Sequence[object], what: str) -> ScoreTable:
    """Impostor scores taken as normal after Fisher's z-transform (atanh), and extrapolated.

    `what` names the faces. At least two people.
    """
    numbers = np.unique(np.array(people), return_inverse=True)[1]
    first, second = np.triu_indices(len(numbers), 1)
    scores = np.einsum("ij,ij->i", embeddings[first], embeddings[second], dtype=np.float64)
    same = numbers[first] == numbers[second]
    impostors = np.arctanh(scores[~same].clip(-_HIGHEST, _HIGHEST))
    spread = float(impostors.std(ddof=1)) if len(impostors) > 1 else 0.0
    points = tuple(
        FarPoint(
            far,
            min(float(np.tanh(impostors.mean() - NormalDist().inv_cdf(far) * spread)), _HIGHEST),
            supported=False,
        )
        for far in FARS
    )
    measured_on = f"a guess from {len(impostors)} impostor pairs of {what}"
    return ScoreTable(points, len(impostors), int(same.sum()), measured_on)
