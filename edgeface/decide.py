"""Decide: turns a score into yes or no at an operating point that means something.

Takes in a score, the model's score-to-FAR table and the wanted error rate, hands on a `Decision`.
It compares nothing itself and knows no pictures.

Verification (1:1) is set by FAR, the share of impostor attempts that pass. Recognition (1:K) is set
by FPIR, the share of strangers taken for anyone; K people are K chances to be wrong, so the
threshold rises with K.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from edgeface.errors import ConfigError, ModelError
from edgeface.model import Model, ScoreTable

DEFAULT_FAR = 1e-3
DEFAULT_FPIR = 1e-2


@dataclass(frozen=True)
class Decision:
    """The answer for one face.

    `name` is the person it was compared with (1:1) or recognized as (1:K); None when nobody was
    recognized. `score` is a cosine, -1 to 1; `match` is score >= threshold.
    """

    name: str | None
    score: float
    threshold: float
    match: bool


def decide(name: str | None, score: float, threshold: float) -> Decision:
    """Yes if and only if the score reaches the threshold; a score that is no number is a no."""
    return Decision(name, score, threshold, score >= threshold)


def far_per_comparison(fpir: float, people: int) -> float:
    """The FAR that each of `people` comparisons may have for a stranger to pass with `fpir`.

    Independent comparisons: 1 - (1 - FAR)^K = FPIR (ISO/IEC 19795-1, identification by 1:1).
    """
    return -math.expm1(math.log1p(-_probability("--fpir", fpir)) / max(1, people))


def threshold_for_far(model: Model, far: float) -> float:
    """The score that a share `far` of impostor pairs reaches, read off the model's table.

    Between the table's points the logarithm of FAR is taken as linear in the score; beyond its
    ends the last two points are prolonged. Raises ConfigError for a FAR outside (0, 1) and
    ModelError when the model carries no table.
    """
    table = model.description.scores
    if table is None or len(table.points) < 2:
        raise ModelError(
            f"the model file {model.path} has no score-to-FAR table, so no threshold can be chosen;"
            " add one with: convert-model describe --labelled FOLDER"
        )
    return _interpolate(table, math.log(_probability("--far", far)))


def _interpolate(table: ScoreTable, log_far: float) -> float:
    points = [(math.log(point.far), point.score) for point in table.points]
    segments = list(pairwise(points))
    (high, score), (low, next_score) = next(
        (segment for segment in segments if log_far >= segment[1][0]), segments[-1]
    )
    return score + (log_far - high) * (next_score - score) / (low - high)


def _probability(option: str, value: float) -> float:
    if not 0 < value < 1:
        raise ConfigError(f"{option} must lie between 0 and 1 (for example 0.001), not {value}")
    return value
