"""Cues: what several comparisons of one face show together.

Takes in `Comparison`s, hands on `CueScores`, and says whether they prove life or show a picture. It
keeps only the last few seconds and no picture.

Evidence adds up: parallax that all regions of the face agree on, a mouth that opens together with
the chin, eyes. Only parallax is enough by itself. What is missing proves nothing: a face that turns
too little is neither alive nor a picture. Thresholds are in information and seconds, never in
numbers of samples, so that they mean the same at every frame rate (docs/liveness.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from edgeface.liveness.register import Comparison

WINDOW = 4.0  # seconds that count

_LEAST_FOLLOWED = 0.55  # share of points found again below which a comparison shows nothing
_STEADY = 0.85  # the same for eyes and mouth, which a lost registration would mimic
_CALM = 0.02  # largest change of nose and cheeks in a registration that can be trusted
_BROW_SHARE = 0.3  # of the eyes' change: more of it at the brow is a shadow or a lost registration
_EYES, _MOUTH, _LIPS = 0.08, 0.02, 0.02  # least change of each
_OPENING = 0.05  # least change of the gap between the lips, in eyes' distances
_GRIDDED = 32.0  # regularity of the surface from which apparent parallax may be moire
_FEWEST, _SHORTEST = 4, 0.75  # comparisons and seconds without which nothing is said
_NO_DEPTH = 0.8  # deviations of the parallax that count nothing
# Of the expected parallax: a rolled or folded sheet shows less, what passes before a print more.
_GAINS = (0.15, 1.1)
_AGAINST = 0.1  # most that missing parallax takes away from the other cues
_MOST_JAW = 1.3  # most that the chin's motion with the lips counts
_JAW_GAINS = (0.2, 2.6)  # chin's motion over the lips': beyond, something else moves
_LEAST_TALK = 0.02  # motion of the lips, in eyes' distances, that the mesh does not invent
_JAW_NOISE = 0.004  # eyes' distances
_TURNED = 3.0  # degrees from which missing parallax speaks for a picture
_FLAT_NEEDED = 10.0  # deviations that a head which turns so far would have been expected to show
_FLAT_DEPTH, _FLAT_AGREEMENT = 1.0, 0.04  # most that a picture shows of it


class Needed(NamedTuple):
    """What is enough: depth and jaw in deviations; eyes: the share of enough that they give."""

    depth: float = 3.0
    jaw: float = 6.0
    eyes: float = 0.3


NEEDED = Needed()


@dataclass(frozen=True)
class CueScores:
    """What the cues show, each on a scale of its own.

    depth: deviations of the measured parallax from a sheet's (0 is flat), without the region of the
    face that shows most of it; gain: its share of what the mesh leads to expect; flat: deviations
    that a turned head would have been expected to show, where it showed none, otherwise 0; eyes,
    mouth, lips: change in units of what is needed (1 is enough); jaw: deviations of the chin's
    motion with the lips; life: all evidence together, 1 is enough; grid: how regular the surface's
    pattern is (see surface); seen: comparisons that counted; seconds: that they span.
    """

    depth: float = 0.0
    gain: float = 0.0
    flat: float = 0.0
    eyes: float = 0.0
    mouth: float = 0.0
    lips: float = 0.0
    jaw: float = 0.0
    life: float = 0.0
    grid: float = 0.0
    seen: int = 0
    seconds: float = 0.0


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

    def scores(self, grid: float = 0.0) -> CueScores:
        """What the kept comparisons show; `grid` is the regularity of the surface."""
        usable = [c for c in self._kept if c.followed > _LEAST_FOLLOWED]
        if not usable:
            return CueScores(grid=grid)
        depth, gain = _parallax(usable)
        steady = [c for c in usable if c.followed > _STEADY and max(c.nose, c.cheeks) < _CALM]
        eyes = _second([_beyond(c, c.eyes) / _EYES for c in steady if _eyes_only(c)])
        mouth = _second(
            [min(_beyond(c, c.mouth) / _MOUTH, abs(c.opening) / _OPENING) for c in steady]
        )
        jaw = _jaw(usable)
        scores = CueScores(
            depth=depth,
            gain=gain,
            flat=_flat(usable),
            eyes=eyes,
            mouth=mouth,
            lips=_second([_beyond(c, c.mouth) / _LIPS for c in steady]),
            jaw=jaw,
            grid=grid,
            seen=len(usable),
            seconds=usable[-1].time - usable[0].time,
        )
        return replace(scores, life=life(scores))


def _parallax(comparisons: Sequence[Comparison]) -> tuple[float, float]:
    """Deviations from a sheet's parallax without the region that shows most of it, and the share of
    the expected parallax: what moves before a part of the face changes that part alone."""
    weights = np.array([1 / c.noise**2 for c in comparisons])
    agreement = weights @ np.array([c.agreement for c in comparisons])
    expected = weights @ np.array([c.expected for c in comparisons])
    without = (agreement.sum() - agreement) / (np.sqrt(expected.sum() - expected) + 1e-6)
    return float(without.min()), float(agreement.sum() / (expected.sum() + 1e-9))


def _flat(comparisons: Sequence[Comparison]) -> float:
    """Deviations that the turns would have shown in a head, if they showed none; otherwise 0."""
    turned = [c for c in comparisons if c.turn > _TURNED]
    if len(turned) < _FEWEST or turned[-1].time - turned[0].time < _SHORTEST:
        return 0.0
    weights = np.array([1 / c.noise**2 for c in turned])
    expected = np.array([c.expected.sum() for c in turned])
    agreement = np.array([c.agreement.sum() for c in turned])
    strength = np.array([c.strength.sum() for c in turned])
    spread = float(np.sqrt(weights @ expected)) + 1e-6
    each = float(np.median(agreement / np.sqrt(expected * strength + 1e-9)))
    if each > _FLAT_AGREEMENT or float(weights @ agreement) / spread > _FLAT_DEPTH:
        return 0.0
    return spread


def _jaw(comparisons: Sequence[Comparison]) -> float:
    """Deviations of the chin's motion with the lips from none: a hole in a print has no chin, and
    what passes before a print moves neither as a chin does."""
    lips = np.array([c.opening for c in comparisons if c.jaw is not None])
    chin = np.array([c.jaw for c in comparisons if c.jaw is not None])
    if len(lips) < _FEWEST or float(np.sqrt(np.mean(lips**2))) < _LEAST_TALK:
        return 0.0
    gain = float(lips @ chin / (lips @ lips))
    if not _JAW_GAINS[0] < gain < _JAW_GAINS[1]:
        return 0.0
    noise = float(np.sqrt(np.mean((chin - gain * lips) ** 2))) + _JAW_NOISE
    return gain * float(np.sqrt(lips @ lips)) / noise


def life(scores: CueScores, needed: Needed = NEEDED) -> float:
    """The evidence added up; 1 is enough. The chin counts as far as the mouth was seen to open, and
    of mouth and eyes only the one that shows more: a print may have holes for both."""
    solid = (scores.depth - _NO_DEPTH) / (needed.depth - _NO_DEPTH)
    if not _GAINS[0] <= scores.gain <= _GAINS[1] or scores.grid >= _GRIDDED:
        solid = min(solid, 0.0)
    talking = min(scores.jaw / needed.jaw, _MOST_JAW) * min(1.0, scores.mouth)
    return max(solid, -_AGAINST) + max(talking, needed.eyes * min(1.0, scores.eyes))


def _eyes_only(comparison: Comparison) -> bool:
    return comparison.brow < max(_CALM / 2, _BROW_SHARE * comparison.eyes)


def _beyond(comparison: Comparison, change: float) -> float:
    """A change, minus what the still parts of the face show."""
    return change - 2 * comparison.nose - comparison.cheeks / 2


def _second(values: list[float]) -> float:
    return max(0.0, sorted(values)[-2]) if len(values) > 1 else 0.0


def alive(scores: CueScores, needed: Needed = NEEDED) -> bool:
    """Whether no flat or bent sheet could have caused these scores."""
    long_enough = scores.seen >= _FEWEST and scores.seconds >= _SHORTEST
    return long_enough and life(scores, needed) >= 1


def flat(scores: CueScores) -> bool:
    """Whether this turned as a sheet does, with nothing alive in it: positive evidence only."""
    still = max(scores.eyes, scores.mouth, scores.lips) < 1
    return still and scores.flat >= _FLAT_NEEDED
