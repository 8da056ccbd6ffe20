"""Cues: what several comparisons of one face show together.

Takes in `Comparison`s, hands on `CueScores`: depth, eyes, mouth and lips in units of what is
needed, and how flat the object in view is. It keeps only the last few seconds and no picture.

Every score is the second largest of its kind or a sum, so no single frame decides. All thresholds
were set on the tuning attacks of the attack bench and on the live clips (docs/liveness.md).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from edgeface.liveness.register import Comparison

WINDOW = 4.0  # seconds that count

_LEAST_FOLLOWED = 0.7  # share of points found again below which a comparison shows nothing
_STEADY = 0.85  # the same for eyes and mouth, which a lost registration would mimic
_CALM = 0.02  # largest change of nose and cheeks in a registration that can be trusted
_BROW_SHARE = 0.3  # of the eyes' change: more of it at the brow is a shadow or a lost registration
_EYES, _MOUTH, _LIPS = 0.08, 0.02, 0.02  # least change of each
_OPENING = 0.05  # least change of the gap between the lips, in eyes' distances
DEPTH_NEEDED = 4.6  # deviations of the parallax from none
DEPTH_BY_EYES = 3.2  # the same where the eyes move as well
APART_BY_EYES = 3.0  # the same, without the points near the eyes
_GRIDDED = 25.0  # regularity of the surface from which apparent parallax may be moire
_FEWEST, _FEWEST_ALONE = 5, 15  # comparisons that depth needs, with moving eyes and alone
_SOLID_SHARE = 0.3  # of the expected parallax: a head shows more
_FLAT_NEEDED = 2.5  # deviations below that share


@dataclass(frozen=True)
class CueScores:
    """What the cues show, each on a scale of its own.

    depth: deviations of the measured parallax from a sheet's (0 is flat); apart: the same without
    the points near the eyes; flat: deviations by which it falls short of a head's; eyes, mouth,
    lips: change in units of what is needed (1 is enough); grid: how regular the surface's pattern
    is (see surface); seen: comparisons that counted.
    """

    depth: float = 0.0
    apart: float = 0.0
    flat: float = 0.0
    eyes: float = 0.0
    mouth: float = 0.0
    lips: float = 0.0
    grid: float = 0.0
    seen: int = 0


class Evidence:
    """The comparisons of the last seconds."""

    def __init__(self, window: float = WINDOW) -> None:
        self._window = window
        self._kept: deque[Comparison] = deque()

    def add(self, comparison: Comparison) -> None:
        """Take in a comparison; those older than the window are dropped."""
        self._kept.append(comparison)
        while self._kept[0].time < comparison.time - self._window:
            self._kept.popleft()

    def scores(self) -> CueScores:
        """What the kept comparisons show."""
        usable = [c for c in self._kept if c.followed > _LEAST_FOLLOWED]
        if not usable:
            return CueScores()
        weights = np.array([1 / c.noise**2 for c in usable])
        spread = _root(float(weights @ [c.expected for c in usable]))
        depth = float(weights @ [c.agreement for c in usable]) / spread
        apart = float(weights @ [c.apart_agreement for c in usable])
        steady = [c for c in usable if c.followed > _STEADY and max(c.nose, c.cheeks) < _CALM]
        return CueScores(
            depth=depth,
            apart=apart / _root(float(weights @ [c.apart_expected for c in usable])),
            flat=_SOLID_SHARE * spread - depth,
            eyes=_second([_beyond(c, c.eyes) / _EYES for c in steady if _eyes_only(c)]),
            mouth=_second(
                [min(_beyond(c, c.mouth) / _MOUTH, abs(c.opening) / _OPENING) for c in steady]
            ),
            lips=_second([_beyond(c, c.mouth) / _LIPS for c in steady]),
            seen=len(usable),
        )


def _root(square: float) -> float:
    return float(np.sqrt(square)) + 1e-6


def _eyes_only(comparison: Comparison) -> bool:
    return comparison.brow < max(_CALM / 2, _BROW_SHARE * comparison.eyes)


def _beyond(comparison: Comparison, change: float) -> float:
    """A change, minus what the still parts of the face show."""
    return change - 2 * comparison.nose - comparison.cheeks / 2


def _second(values: list[float]) -> float:
    return max(0.0, sorted(values)[-2]) if len(values) > 1 else 0.0


def alive(scores: CueScores) -> bool:
    """Whether no flat or bent sheet could have caused these scores.

    Eyes alone are not enough: somebody may look through the holes of a print.
    """
    eyes, plain = scores.eyes >= 1, scores.grid < _GRIDDED
    enough = plain and scores.seen >= _FEWEST
    # A rolled sheet has some depth, but less than a head that turns as far.
    solid = plain and scores.seen >= _FEWEST_ALONE and scores.flat < _FLAT_NEEDED
    return (
        scores.mouth >= 1
        or (solid and scores.depth >= DEPTH_NEEDED)
        or (eyes and enough and scores.depth >= DEPTH_BY_EYES)
        or (eyes and enough and scores.apart >= APART_BY_EYES)
        or (eyes and scores.lips >= 1)
    )


def flat(scores: CueScores) -> bool:
    """Whether this moved as a sheet does, with nothing alive in it."""
    return scores.flat >= _FLAT_NEEDED and scores.eyes < 1 and scores.mouth < 1 and scores.lips < 1
