"""Challenger: the challenges that the service begins by itself, in the profile `high_security`.

Takes in the `Sight`s of the watch, adds the prompts to their events. A challenge begins when an
enrolled person is alone in view; it serves for one `recognized` event. One that fails may be tried
again after a moment, three times before the person has to leave the picture.
"""

from __future__ import annotations

from collections import Counter

from edgeface.events import challenge_event
from edgeface.liveness import State, Status
from edgeface.service.proof import Proofs
from edgeface.service.session import Session
from edgeface.service.sight import Look, Sight

_MOST_TRIES = 3  # for one track
_PAUSE = 3.0  # seconds after a failed challenge
_VALID = 10.0  # seconds that a passed challenge waits for its recognition
_PROOF = 0.4  # seconds between embeddings while it runs; it needs one a second


class Challenger:
    """At most one challenge at a time."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._told = ""
        self._tries: Counter[int] = Counter()
        self._not_before = -1e9
        self._until = 0.0  # a passed challenge counts
        self._embedded = -1e9

    def offer(self, track: int, sight: Sight) -> bool:
        """Begin a challenge of this track if it may be begun now; whether it was."""
        if (
            self._session is not None
            or sight.sure != 1
            or sight.time < self._not_before
            or self._tries[track] >= _MOST_TRIES
        ):
            return False
        self._tries[track] += 1
        self._session, self._told = Session(track), ""
        return True

    def due(self, track: int, now: float) -> bool:
        """Whether the running challenge needs an embedding of this track now."""
        session = self._session
        running = session is not None and session.track == track and session.running
        return running and now - self._embedded >= _PROOF

    def see(self, sight: Sight, source: str, proofs: Proofs) -> None:
        """Go on with the challenge; a new prompt becomes an event."""
        session = self._session
        if session is None or session.track is None:
            return
        if any(look.track == session.track for look in sight.looks):
            self._embedded = sight.time
        session.see(sight)
        status = session.status
        if status.prompt != self._told:
            self._told = status.prompt
            event = challenge_event(source, session.track, status, proofs.verdict(session.track))
            sight.events.append((event, None))
            if status.state is State.PASSED:
                self._until = sight.time + _VALID
        if status.state is State.FAILED or (
            status.state is State.PASSED and sight.time > self._until
        ):
            self._session, self._not_before = None, sight.time + _PAUSE

    def passed(self, track: int) -> bool:
        """Whether this track has passed its challenge lately."""
        session = self._session
        return (
            session is not None and session.track == track and session.status.state is State.PASSED
        )

    def status_for(self, look: Look) -> Status | None:
        """How the challenge stands for the person of this look."""
        return self._session.status_for(look) if self._session else None

    def used(self, track: int) -> None:
        """The challenge has served: the person has to leave the picture before the next."""
        self._tries[track] = _MOST_TRIES
        self._drop(track)

    def end(self, track: int) -> None:
        """The track has ended."""
        self._tries.pop(track, None)
        self._drop(track)

    def cancel(self) -> None:
        """Somebody else challenges now."""
        self._session = None

    def _drop(self, track: int) -> None:
        if self._session is not None and self._session.track == track:
            self._session = None
