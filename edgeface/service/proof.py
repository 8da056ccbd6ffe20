"""Proof: whether a tracked face is alive, and still the person whose liveness was proven.

Takes in frames with a tracked face and the embeddings of its observations, hands on liveness
verdicts. It reports nothing and opens nothing.

The liveness judge follows an object in view, but a photo can take the place of the face that was
there. So every embedding must resemble the one with which the judging began; otherwise the judging
starts over.
"""

from __future__ import annotations

from functools import cached_property

from edgeface.decide import threshold_for_far
from edgeface.liveness import Liveness, LivenessJudge, LivenessVerdict, Sampler
from edgeface.pipeline.encode import Embedding
from edgeface.pipeline.pipeline import FacePipeline
from edgeface.service.frame_result import FrameResult
from edgeface.service.tracker import Track
from edgeface.sources import Frame

_EVERY = 0.1  # seconds between samples, on average
_SOONEST = 0.05  # seconds between samples, at least
# Share of impostor pairs that are taken for one person: 3 in 1,000, the shipped model's 0.40.
_SAME_FAR = 2.95e-3


class ProofTools:
    """What the proofs of all faces share; each is made once, when first needed."""

    def __init__(self, pipeline: FacePipeline) -> None:
        self._pipeline = pipeline

    @cached_property
    def sampler(self) -> Sampler:
        """The sampler; it shares the mesh network with the detector."""
        return Sampler(self._pipeline.mesh)

    @cached_property
    def same_person(self) -> float:
        """The cosine with the first embedding from which a face is the same person's."""
        return threshold_for_far(self._pipeline.model, _SAME_FAR)


class Proof:
    """The proof of life of one tracked face. One thread at a time."""

    def __init__(self, tools: ProofTools) -> None:
        self._tools = tools
        self._judge: LivenessJudge | None = None  # until the judging begins
        self._due = 0.0
        self._spoof_since: float | None = None
        self._first: Embedding | None = None
        self.verdict: LivenessVerdict | None = None  # until the first sample

    @property
    def begun(self) -> bool:
        """Whether this face is judged."""
        return self._judge is not None

    @property
    def live(self) -> bool:
        """Whether the newest verdict is `live`."""
        return self.verdict is not None and self.verdict.liveness is Liveness.LIVE

    def sample(self, track: Track, frame: Frame, result: FrameResult) -> LivenessVerdict | None:
        """Take a sample if one is due, add it to `result`, and return the verdict."""
        judge = self._judge or self._begin(frame.time)
        if frame.time < self._due or track.number in result.samples:
            return self.verdict
        self._due = max(self._due + _EVERY, frame.time + _SOONEST)
        sample = self._tools.sampler.sample(frame.time, frame.picture, track.face)
        result.samples[track.number] = sample
        self.verdict = judge.take(frame.time, sample, track.face)
        if self.verdict.liveness is not Liveness.SPOOF:
            self._spoof_since = None
        elif self._spoof_since is None:
            self._spoof_since = frame.time
        return self.verdict

    def same(self, embedding: Embedding, now: float) -> bool:
        """Whether this is the person with whom the judging began; otherwise it starts over."""
        if self._judge is None:
            return True
        if self._first is None:
            self._first = embedding
        elif float(self._first @ embedding) < self._tools.same_person:
            self._begin(now)
            self._first = embedding
            return False
        return True

    def spoof_for(self, now: float) -> float:
        """Seconds for which the verdict has been `spoof`."""
        return 0.0 if self._spoof_since is None else now - self._spoof_since

    def _begin(self, now: float) -> LivenessJudge:
        judge = self._judge = LivenessJudge(self._tools.sampler)
        self._due, self._spoof_since = now, None
        self._first = self.verdict = None
        return judge
