"""Judge: whether a tracked face is a living one.

Takes in the frames of one track, at most ten a second, hands on a `LivenessVerdict`: live, spoof or
undetermined, with the cues' scores. It knows nothing of names, and fails closed: a face that has
not been shown to be alive is undetermined, and undetermined opens no door.

Terms and measures follow ISO/IEC 30107-3: a presentation attack that is taken for live counts
towards APCER, a living person who is not found live counts towards BPCER.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from edgeface.liveness.anchors import Anchors
from edgeface.liveness.cues import CueScores, Evidence, alive, flat
from edgeface.liveness.sample import Sample, Sampler
from edgeface.liveness.surface import GRID_NEEDED, Surface
from edgeface.pipeline.detect import Face
from edgeface.pipeline.geometry import overlap
from edgeface.pipeline.pictures import Picture

STEP = 0.09  # seconds: samples closer together add little
_GAP = 0.5  # seconds without the face, after which it may be somebody else's
_LOST = 3  # samples in a row that cannot be registered: something else is in view
_HOLD = 5.0  # seconds that `live` lasts after the last proof


class Liveness(enum.StrEnum):
    """What a track was found to be."""

    LIVE = "live"
    SPOOF = "spoof"
    UNDETERMINED = "undetermined"


class Profile(enum.StrEnum):
    """How much proof of life is needed before a match counts."""

    CONVENIENCE = "convenience"
    STANDARD = "standard"
    HIGH_SECURITY = "high_security"

    @property
    def judged(self) -> bool:
        """Whether liveness is judged at all."""
        return self is not Profile.CONVENIENCE

    @property
    def challenged(self) -> bool:
        """Whether a challenge must be passed as well."""
        return self is Profile.HIGH_SECURITY


@dataclass(frozen=True)
class LivenessVerdict:
    """time: of the newest sample, seconds; since: when the object in view began to be followed
    without a gap (observations of an identity from before must not count); reason: for a person to
    read."""

    liveness: Liveness
    time: float
    since: float
    reason: str
    scores: CueScores = field(default_factory=CueScores)


def account(verdict: LivenessVerdict | None) -> dict[str, Any]:
    """A verdict's keys in JSON: `liveness`, `reason` and the `cues`' scores; None where liveness is
    not judged."""
    if verdict is None:
        return {"liveness": "not judged", "reason": None, "cues": None}
    cues = {name: round(float(score), 2) for name, score in vars(verdict.scores).items()}
    return {"liveness": verdict.liveness.value, "reason": verdict.reason, "cues": cues}


class LivenessJudge:
    """Judges one track. Judges may share a `Sampler`; one thread at a time."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._given = sampler
        self._sampler: Sampler | None = sampler
        self._face: Face | None = None
        self._begin(0.0)
        self._last = -1e9

    def observe(self, time: float, frame: Picture, face: Face) -> LivenessVerdict | None:
        """Sample the track's face in a frame (uint8 BGR); None where it is too soon for another."""
        if 0 <= time - self._last < STEP:
            return None
        if self._sampler is None:
            self._sampler = Sampler()
        return self.take(time, self._sampler.sample(time, frame, face), face)

    def take(self, time: float, sample: Sample | None, face: Face | None = None) -> LivenessVerdict:
        """Judge with one more sample; `sample` is None where the mesh found no face."""
        if time - self._last > _GAP or time < self._last or self._jumped(face):
            self._begin(time)
        self._last, self._face = time, face
        if sample is None:
            self._lost += 1
        else:
            self._compare(sample)
        if self._lost >= _LOST:
            self._begin(time)
        return self._verdict(time)

    def _begin(self, time: float) -> None:
        self._since, self._evidence, self._surface = time, Evidence(), Surface()
        self._anchors = Anchors()
        self._proven = -1e9
        self._lost = 0

    def _jumped(self, face: Face | None) -> bool:
        return (
            face is not None and self._face is not None and overlap(face.box, self._face.box) < 0.05
        )

    def _compare(self, sample: Sample) -> None:
        self._surface.add(sample)
        first = not self._anchors.any
        comparison = self._anchors.compare(sample)
        if comparison is not None:
            self._lost = 0
            self._evidence.add(comparison)
        elif not first:
            # A head that turned far loses its anchors once; where there is no head, every time.
            self._lost += 1

    def _verdict(self, time: float) -> LivenessVerdict:
        scores = self._evidence.scores(self._surface.grid)
        if scores.grid >= GRID_NEEDED:
            self._proven = -1e9
            reason = "shows the pixel grid of a screen"
            return LivenessVerdict(Liveness.SPOOF, time, self._since, reason, scores)
        if alive(scores):
            self._proven = time
        if time - self._proven <= _HOLD:
            return LivenessVerdict(Liveness.LIVE, time, self._since, "a living face", scores)
        if flat(scores):
            reason = "moves like a flat or bent picture"
            return LivenessVerdict(Liveness.SPOOF, time, self._since, reason, scores)
        reason = "so far a picture could have shown the same: turn your head a little"
        return LivenessVerdict(Liveness.UNDETERMINED, time, self._since, reason, scores)
