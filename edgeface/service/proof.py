"""Proof: whether the face of each track is alive, and still the person of whom that was seen.

Takes in frames with tracked faces and the embeddings of their looks, hands on liveness verdicts.
It tells nobody and opens nothing.

The judge of liveness follows a thing before the camera; a thing can be exchanged for another in
the same place, a photo for the face that was behind it. So whoever is encoded must stay like the
one with whom the judging began, or it begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from edgeface.liveness import Liveness, LivenessJudge, LivenessVerdict, Sample, Sampler
from edgeface.pipeline.encode import Embedding
from edgeface.pipeline.pipeline import FacePipeline
from edgeface.service.sight import Sight
from edgeface.service.tracker import Track
from edgeface.sources import Frame

_EVERY = 0.1  # seconds between looks, on average
_SOONEST = 0.05  # seconds between looks, at least
_SAME = 0.40  # cosine to the first embedding: 1 pair of strangers in 100 reaches it


@dataclass
class _Case:
    judge: LivenessJudge
    due: float
    verdict: LivenessVerdict | None = None
    spoof_since: float | None = None
    first: Embedding | None = None


class Proofs:
    """The open cases, by track number. One thread at a time."""

    def __init__(self, pipeline: FacePipeline) -> None:
        self._pipeline = pipeline
        self._cases: dict[int, _Case] = {}

    @cached_property
    def _sampler(self) -> Sampler:
        return Sampler(
            self._pipeline.mesh
        )  # opened when first needed, and shared with the detector

    def begun(self, track: int) -> bool:
        """Whether this track is judged."""
        return track in self._cases

    def look(self, track: Track, frame: Frame, sight: Sight) -> LivenessVerdict | None:
        """Look at the track's face if it is time to; its verdict. The sample goes to `sight`."""
        case = self._cases.get(track.number)
        if case is None:
            case = self._begin(track.number, frame.time)
        if frame.time < case.due or track.number in sight.samples:
            return case.verdict
        case.due = max(case.due + _EVERY, frame.time + _SOONEST)
        sample: Sample | None = self._sampler.sample(frame.time, frame.picture, track.face)
        sight.samples[track.number] = sample
        case.verdict = case.judge.take(frame.time, sample, track.face)
        if case.verdict.liveness is not Liveness.SPOOF:
            case.spoof_since = None
        elif case.spoof_since is None:
            case.spoof_since = frame.time
        return case.verdict

    def same(self, track: int, embedding: Embedding, now: float) -> bool:
        """Whether this is the person with whom the judging began; if not, it begins anew."""
        case = self._cases.get(track)
        if case is None:
            return True
        if case.first is None:
            case.first = embedding
        elif float(case.first @ embedding) < _SAME:
            self._begin(track, now).first = embedding
            return False
        return True

    def verdict(self, track: int) -> LivenessVerdict | None:
        """What the track was found to be; None before the first look."""
        case = self._cases.get(track)
        return case.verdict if case else None

    def spoof_for(self, track: int, now: float) -> float:
        """Seconds for which the verdict has been `spoof`."""
        case = self._cases.get(track)
        return 0.0 if case is None or case.spoof_since is None else now - case.spoof_since

    def end(self, track: int) -> None:
        """Forget a track."""
        self._cases.pop(track, None)

    def _begin(self, track: int, now: float) -> _Case:
        case = self._cases[track] = _Case(LivenessJudge(self._sampler), now)
        return case
