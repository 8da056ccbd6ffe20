"""Session: one challenge, put to whoever is alone before the running camera.

Takes in `Sight`s, hands on how the challenge stands and whether a later look is still at the person
who passed it. It shows no prompt itself.
"""

from __future__ import annotations

from edgeface.liveness import Challenge, State, Status
from edgeface.pipeline.encode import Embedding
from edgeface.service.sight import Look, Sight

_SAME = 0.50  # cosine of a look to the first one of the challenge


class Session:
    """A challenge of one track: `track`, or else the first that is alone in view."""

    def __init__(self, track: int | None = None) -> None:
        self.track = track
        self._challenge = Challenge()
        self._first: Embedding | None = None
        self._newest: Embedding | None = None
        self._crowded = False

    @property
    def status(self) -> Status:
        """How the challenge stands."""
        return self._challenge.status

    @property
    def running(self) -> bool:
        """Whether it has neither been passed nor failed."""
        return self.status.state is State.RUNNING

    @property
    def prompt(self) -> str:
        """A sentence for the person at the camera."""
        if self.track is None:
            return "only one person may be in view" if self._crowded else "come before the camera"
        return self.status.prompt

    def see(self, sight: Sight) -> None:
        """Take in what one frame showed."""
        alone = sight.sure <= 1
        if self.track is None:
            self._crowded = not alone
            if not alone or not sight.samples:
                return
            self.track = next(iter(sight.samples))
        for look in sight.looks:
            if look.track == self.track:
                self._newest = look.subject.embedding
                if self._first is None:
                    self._first = look.subject.embedding
        if self.track in sight.samples:
            embedding, self._newest = self._newest, None
            sample = sight.samples[self.track]
            self._challenge.observe(sight.time, sample, embedding, alone=alone)
        elif not alone or self.track not in sight.seen:
            self._challenge.observe(sight.time, None, alone=alone)

    def status_for(self, look: Look) -> Status | None:
        """How the challenge stands for the person of this look; None for anybody else."""
        if look.track != self.track or self._first is None:
            return None
        same = float(self._first @ look.subject.embedding) >= _SAME
        return self.status if same else None
