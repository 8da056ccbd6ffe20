"""Session: one challenge of the person who is alone at the running camera.

Takes in `FrameResult`s, hands on the status of the challenge, and whether a later observation still
shows the person who passed it. It displays no prompt itself.
"""

from __future__ import annotations

from edgeface.liveness import Challenge, Likeness, State, Status
from edgeface.pipeline.encode import Embedding
from edgeface.service.frame_result import FrameResult, Observation


class Session:
    """A challenge of one track: `track`, otherwise the first that is alone in view."""

    def __init__(self, likeness: Likeness, track: int | None = None) -> None:
        """`likeness` has the cosines that make one person, for the model in use."""
        self._same = likeness.mean
        self.track = track
        self._challenge = Challenge(likeness)
        self._first: Embedding | None = None
        self._newest: Embedding | None = None
        self._crowded = False

    @property
    def status(self) -> Status:
        """The status of the challenge."""
        return self._challenge.status

    @property
    def running(self) -> bool:
        """Whether the challenge has been neither passed nor failed."""
        return self.status.state is State.RUNNING

    @property
    def prompt(self) -> str:
        """A sentence for the person at the camera."""
        if self.track is None:
            return "only one person may be in view" if self._crowded else "step up to the camera"
        return self.status.prompt

    def see(self, result: FrameResult) -> None:
        """Take in what one frame showed."""
        alone = result.sure <= 1
        if self.track is None:
            self._crowded = not alone
            if not alone or not result.samples:
                return
            self.track = next(iter(result.samples))
        for seen in result.observations:
            if seen.track == self.track:
                self._newest = seen.encoded.embedding
                if self._first is None:
                    self._first = seen.encoded.embedding
        if self.track in result.samples:
            embedding, self._newest = self._newest, None
            sample = result.samples[self.track]
            self._challenge.observe(result.time, sample, embedding, alone=alone)
        elif not alone or self.track not in result.seen:
            self._challenge.observe(result.time, None, alone=alone)

    def status_for(self, seen: Observation) -> Status | None:
        """The status of the challenge for the person of this observation; None for anybody else."""
        if seen.track != self.track or self._first is None:
            return None
        same = float(self._first @ seen.encoded.embedding) >= self._same
        return self.status if same else None
