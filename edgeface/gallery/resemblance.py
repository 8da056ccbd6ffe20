"""Resemblance: how much the people of one gallery look like each other, in scores.

Takes in a gallery's contents, hands on the top of the scores between different people. The score
table of a model was measured on a crowd of many origins; people of one family, age or origin score
higher with each other, and so do strangers like them. It sets no threshold: `decide` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeface.gallery.contents import Contents

FEWEST_PEOPLE = 5  # ten pairs; of fewer, one pair of sisters would speak for everybody
_MOST_PEOPLE = 512  # compared with each other; 130,000 pairs tell enough
_TOP = 0.02  # of the pairs (docs/identification.md has the measurements)
_FEWEST_PAIRS = 5


@dataclass(frozen=True)
class Resemblance:
    """`share` of the `pairs` pairs of two enrolled people have a score of at least `score`."""

    pairs: int
    share: float
    score: float


def resemblance(contents: Contents) -> Resemblance | None:
    """The top 2 % of the scores between people, at least five; None for fewer than five people.

    The score of two people is the mean over the pairs of their templates, so that people with many
    templates count no more than others. Of more than 512 people, every n-th is compared.
    """
    count = len(contents.counts)
    if count < FEWEST_PEOPLE:
        return None
    people = np.unique(np.linspace(0, count - 1, min(count, _MOST_PEOPLE)).astype(int))
    means = np.stack([_mean(contents, int(person)) for person in people])
    scores = (means @ means.T)[np.triu_indices(len(means), 1)]
    top = max(_FEWEST_PAIRS, math.ceil(_TOP * len(scores)))
    place = len(scores) - top
    return Resemblance(len(scores), top / len(scores), float(np.partition(scores, place)[place]))


def _mean(contents: Contents, person: int) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = contents.unit_templates(contents.rows_of(person)).mean(axis=0)
    return mean
