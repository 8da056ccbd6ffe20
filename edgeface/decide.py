"""Decide: turns a score into yes or no at a chosen error rate.

Takes in a score, the model's score-to-FAR table and the wanted error rate, hands on a `Decision`.
It compares nothing itself and handles no pictures.

Verification (1:1) is set by FAR, the share of impostor attempts that pass. Identification (1:K) is
set by FPIR, the share of strangers taken for anyone; K people are about K chances to be wrong, so
the threshold rises with K. Both rise further where the enrolled people look more like each other
than the people of the model's table do (docs/identification.md has the measurements).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from edgeface.errors import ConfigError, ModelError
from edgeface.gallery.gallery import Gallery, Match
from edgeface.pipeline.model_file import Model, ScoreTable

DEFAULT_FAR = 1e-3
DEFAULT_FPIR = 1e-2
AMBIGUOUS = 0.05  # a smaller lead over the second is noise, two deviations (docs/identification.md)
DOUBT = 0.05  # this near the threshold, flip augmentation may change it (docs/accuracy.md)

# Measured on View 1 train with one and more templates, 1 to 1,000 people (docs/identification.md).
_TEMPLATES_ALIKE = 0.4  # n templates of a person are n**0.4 chances
_PEOPLE_ALIKE = 0.95  # and those of all people together are (their sum)**0.95
_FEW_PAIRS = 1.5  # over the root of the pairs: the share by which few may show too little of it
_WORTH_SAYING = 0.02  # of a score: less is within the noise of measuring it
_HIGHEST_RAISED = 0.9  # the threshold is raised no further: hardly any picture would pass


@dataclass(frozen=True)
class Correction:
    """How far the thresholds of one gallery are raised, and why.

    raised: by how much; share, score: so many pairs of the enrolled people reach this score;
    usual: the score that as many pairs of the model's table reach.
    """

    raised: float
    share: float
    score: float
    usual: float

    @property
    def sentence(self) -> str | None:
        """What it is, why, and what it costs, for a person; None where it is next to nothing."""
        if self.raised < _WORTH_SAYING:
            return None
        return (
            f"thresholds are {self.raised:.2f} higher than the model's own, since the people "
            f"enrolled look alike ({self.share:.0%} of their pairs score {self.score:.2f}, "
            f"usually {self.usual:.2f}): strangers like them would pass too often, and more good "
            "pictures are refused for it; three or more pictures of each person make up for most"
        )


NO_CORRECTION = Correction(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Decision:
    """The answer for one face.

    It is true where it is a match: `if verifier.verify("ada", image):` opens to nobody else.
    `name` is the person it was compared with (1:1) or identified as (1:K); None when nobody was
    identified. `score` is a cosine, -1 to 1; `match` means score >= threshold, and in
    identification also that no other person is as near; where one is, `note` says so. A probe that
    is no upright face matches nobody, whatever its score, and `note` says why.
    """

    name: str | None
    score: float
    threshold: float
    match: bool
    note: str | None = None

    def __bool__(self) -> bool:
        """Whether it is a match: a no is not true."""
        return self.match


def decide(name: str | None, score: float, threshold: float) -> Decision:
    """Yes if and only if the score reaches the threshold; NaN is a no."""
    return Decision(name, score, threshold, score >= threshold)


def decide_among(best: Sequence[Match], threshold: float) -> Decision:
    """Which of the best two people found (the best first) it is, or nobody.

    Nobody if the score does not reach the threshold, and nobody if the second is as near as the
    first, within the noise between two pictures taken together: better no name than the wrong one.
    """
    if not best:
        return Decision(None, -1.0, threshold, False)
    first = best[0]
    if not first.score >= threshold:
        return Decision(None, first.score, threshold, False)
    if len(best) > 1 and first.score - best[1].score < AMBIGUOUS:
        note = f"as near to {first.name} as to {best[1].name} ({best[1].score:.3f})"
        return Decision(None, first.score, threshold, False, note)
    return Decision(first.name, first.score, threshold, True)


def in_doubt(decision: Decision) -> bool:
    """Whether the score is so near the threshold that flip augmentation is worth its time."""
    return abs(decision.score - decision.threshold) < DOUBT


def verification_threshold(
    model: Model, far: float, templates: int, correction: Correction = NO_CORRECTION
) -> float:
    """The score that a share `far` of impostors reaches with a person who has `templates`
    templates."""
    wanted = far_per_comparison(far, chances([templates]), "--far")
    return _raised(_reachable(threshold_for_far(model, wanted), "--far"), correction)


def identification_threshold(
    model: Model, fpir: float, template_counts: ArrayLike, correction: Correction = NO_CORRECTION
) -> float:
    """The score that a share `fpir` of strangers reaches with anyone in a gallery;
    `template_counts` is how many templates each person has (shape (people,))."""
    wanted = far_per_comparison(fpir, chances(template_counts))
    return _raised(_reachable(threshold_for_far(model, wanted), "--fpir"), correction)


def correction_for(model: Model, gallery: Gallery) -> Correction:
    """How far the thresholds of a gallery must be raised; not at all for fewer than five people.

    By as much as the top of the scores between the enrolled people exceeds the model's table, and
    by 1.5 / sqrt(pairs) of that more, since few pairs may show too little of it by chance.
    """
    alike = gallery.resemblance
    if alike is None:
        return NO_CORRECTION
    usual = threshold_for_far(model, alike.share)
    excess = max(0.0, alike.score - usual) * (1 + _FEW_PAIRS / math.sqrt(alike.pairs))
    return Correction(excess, alike.share, alike.score, usual)


def _raised(threshold: float, correction: Correction) -> float:
    return max(threshold, min(threshold + correction.raised, _HIGHEST_RAISED))


def _reachable(threshold: float, option: str) -> float:
    if threshold > 1:  # no cosine is higher, so everybody would be refused without a word
        raise ConfigError(
            f"with this model and gallery no score is high enough for so small a {option}; "
            "choose a larger one"
        )
    return threshold


def chances(template_counts: ArrayLike) -> float:
    """How many independent comparisons with one template would be as likely to let a stranger pass.

    Each template is one more chance, but not a full one, since templates of a person resemble each
    other; so do people. At least 1, even for an empty gallery.
    """
    each = np.asarray(template_counts, np.float64) ** _TEMPLATES_ALIKE
    together: float = float(each.sum()) ** _PEOPLE_ALIKE
    return max(1.0, together)


def far_per_comparison(fpir: float, comparisons: float, option: str = "--fpir") -> float:
    """The FAR at which a stranger passes one of `comparisons` comparisons at a rate of `fpir`.

    Independent comparisons: 1 - (1 - FAR)^K = FPIR (ISO/IEC 19795-1, identification by 1:1).
    """
    return -math.expm1(math.log1p(-_probability(option, fpir)) / comparisons)


def threshold_for_far(model: Model, far: float) -> float:
    """The score that a share `far` of impostor pairs reaches, read from the model's table.

    Between the table's points the logarithm of FAR is taken as linear in the score; beyond its
    ends the last two points are extrapolated. Raises ConfigError for a FAR outside (0, 1)
    and ModelError when the model has no table.
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
