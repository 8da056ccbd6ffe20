"""Challenger: the challenges that the service begins by itself, in the profile `high_security`.

Takes in the `FrameResult`s of the watch, adds the prompts to their events. A challenge begins when
an enrolled person is alone in view, and allows one `recognized` event. A failed challenge may be
repeated after three seconds; after three challenges the person has to leave the picture (the
tracked face counts them).
"""

from __future__ import annotations

from edgeface.events import challenge_event
from edgeface.liveness import LivenessVerdict, State, Status
from edgeface.service.frame_result import FrameResult, Observation
from edgeface.service.people import People
from edgeface.service.session import Session

MOST_TRIES = 3  # per track
_PAUSE = 3.0  # seconds after a failed challenge
_VALID = 10.0  # seconds that a passed challenge waits for its recognition
_PROOF = 0.4  # seconds between embeddings while it runs; it needs one a second


class Challenger:
    """At most one challenge at a time."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._session: Session | None = None
        self._prompted = ""
        self._not_before = -1e9
        self._until = 0.0  # until when a passed challenge counts
        self._embedded = -1e9

    @property
    def track(self) -> int | None:
        """The track that is challenged."""
        return self._session.track if self._session else None

    def offer(self, track: int, result: FrameResult) -> bool:
        """Begin a challenge of this track if possible now; returns whether it began."""
        if self._session is not None or result.sure != 1 or result.time < self._not_before:
            return False
        self._session, self._prompted = Session(self._people.likeness, track), ""
        return True

    def due(self, track: int, now: float) -> bool:
        """Whether the running challenge needs an embedding of this track now."""
        session = self._session
        running = session is not None and session.track == track and session.running
        return running and now - self._embedded >= _PROOF

    def see(self, result: FrameResult, source: str, liveness: LivenessVerdict | None) -> None:
        """Continue the challenge; a new prompt becomes an event, with the face's liveness."""
        session = self._session
        if session is None or session.track is None:
            return
        if any(seen.track == session.track for seen in result.observations):
            self._embedded = result.time
        session.see(result)
        status = session.status
        if status.prompt != self._prompted:
            self._prompted = status.prompt
            event = challenge_event(source, session.track, status, liveness)
            result.events.append((event, None))
            if status.state is State.PASSED:
                self._until = result.time + _VALID
        if status.state is State.FAILED or (
            status.state is State.PASSED and result.time > self._until
        ):
            self._session, self._not_before = None, result.time + _PAUSE

    def passed(self, track: int) -> bool:
        """Whether this track has passed a challenge that still counts."""
        session = self._session
        return (
            session is not None and session.track == track and session.status.state is State.PASSED
        )

    def status_for(self, seen: Observation) -> Status | None:
        """The status of the challenge for the person of this observation."""
        return self._session.status_for(seen) if self._session else None

    def cancel(self) -> None:
        """Stop: another challenge takes precedence."""
        self._session = None

    def drop(self, track: int) -> None:
        """End this track's challenge: it is used up, or the track has ended."""
        if self._session is not None and self._session.track == track:
            self._session = None
