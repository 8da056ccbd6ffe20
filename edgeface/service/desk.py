"""Desk: requests to the running service, answered by the loop between frames.

Takes in `Request`s from any thread, hands their answers to whoever asked. Live attempts see every
observation that the loop makes; their outcome counts for the lockout. It reads no socket.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from typing import Annotated, Literal, Protocol

import msgspec

from edgeface.errors import EdgeFaceError
from edgeface.gallery.names import person_name
from edgeface.liveness import Profile
from edgeface.service.attempts import (
    Answer,
    Attempt,
    LiveEnrollment,
    LiveIdentification,
    LiveVerification,
)
from edgeface.service.config import RecognitionSettings
from edgeface.service.frame_result import FrameResult
from edgeface.service.lockout import Lockout
from edgeface.service.people import People

_log = logging.getLogger("edgeface.service")
_MOST_WAITING = 32
_MOST_ATTEMPTS = 4
# Seconds for an attempt where nothing else is asked.
_WITHIN, _WITHIN_CHALLENGED, _WITHIN_ENROLLING = 5.0, 30.0, 60.0


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be asked; `within` is the limit of a live attempt in seconds, by default 5, 30 where
    there is a challenge to pass, 60 to enroll; `challenge` asks for one whatever the profile."""

    command: Literal["status", "reload", "verify", "identify", "enroll"]
    name: str | None = None
    within: Annotated[float, msgspec.Meta(gt=0, le=300)] | None = None
    challenge: bool = False


class Asker(Protocol):
    """Whoever waits for an answer."""

    def tell(self, answer: Answer, *, last: bool) -> None:
        """Pass on an answer; after the `last` one nothing follows."""
        ...

    @property
    def gone(self) -> bool:
        """Whether nobody waits any more."""
        ...


class Desk:
    """Waiting requests and attempts in progress. `submit` is for other threads."""

    def __init__(
        self,
        people: People,
        lockout: Lockout,
        rules: RecognitionSettings,
        profile: Profile,
        status: Callable[[], Answer],
        reload: Callable[[], None],
        locked_out: Callable[[str], None],
    ) -> None:
        self._people, self.lockout = people, lockout
        self.rules, self.profile = rules, profile
        self._status, self._reload, self._locked_out = status, reload, locked_out
        self._waiting: queue.Queue[tuple[Request, Asker]] = queue.Queue(_MOST_WAITING)
        self._attempts: list[tuple[Attempt, Asker]] = []

    @property
    def busy(self) -> bool:
        """Whether an attempt waits for observations."""
        return bool(self._attempts)

    @property
    def judging(self) -> bool:
        """Whether an attempt wants to know what is alive, whatever the profile."""
        return any(attempt.profile.judged for attempt, _ in self._attempts)

    def submit(self, request: Request, asker: Asker) -> None:
        """Hand in a request; it is answered by the loop, or at once if too many wait."""
        try:
            self._waiting.put_nowait((request, asker))
        except queue.Full:
            asker.tell({"error": "too many requests are waiting; try again later"}, last=True)

    def see(self, result: FrameResult) -> None:
        """Show what a frame showed to every attempt."""
        now = time.monotonic()
        for attempt, _ in self._attempts:
            attempt.see(result, now)

    def work(self) -> None:
        """Begin what was asked and answer what can be answered."""
        while True:
            try:
                request, asker = self._waiting.get_nowait()
            except queue.Empty:
                break
            try:
                self._begin(request, asker)
            except EdgeFaceError as error:
                asker.tell({"error": str(error)}, last=True)
        now = time.monotonic()
        self._attempts = [pair for pair in self._attempts if not self._finished(*pair, now)]

    def close(self) -> None:
        """Answer everybody that the service ends."""
        self.work()
        for _, asker in self._attempts:
            asker.tell({"error": "the service is stopping"}, last=True)
        self._attempts = []

    def _begin(self, request: Request, asker: Asker) -> None:
        if request.command == "status":
            asker.tell(self._status(), last=True)
        elif request.command == "reload":
            self._reload()
            asker.tell({"reloaded": True}, last=True)
        elif len(self._attempts) >= _MOST_ATTEMPTS:
            asker.tell({"error": "the camera is busy with other attempts; try again"}, last=True)
        else:
            self._attempts.append((self._attempt(request), asker))

    def _attempt(self, request: Request) -> Attempt:
        profile = Profile.HIGH_SECURITY if request.challenge else self.profile
        if request.command == "enroll":
            return self._enrollment(request)
        usual = _WITHIN_CHALLENGED if profile.challenged else _WITHIN
        until = time.monotonic() + (request.within or usual)
        if self.lockout.left:
            raise EdgeFaceError(self._locked())
        if profile.challenged and any(a.profile.challenged for a, _ in self._attempts):
            raise EdgeFaceError("somebody else is being challenged; try again in a moment")
        if request.command == "identify":
            return LiveIdentification(self._people, self.rules, profile, until)
        name = person_name(request.name or "")
        return LiveVerification(self._people, self.rules, profile, name, until)

    def _enrollment(self, request: Request) -> Attempt:
        """Passive cues alone: the poses are no challenge, and pictures held up are refused."""
        if request.challenge:
            raise EdgeFaceError("a challenge is for verify and identify; enroll without it")
        profile = Profile.STANDARD if self.profile.judged else self.profile
        until = time.monotonic() + (request.within or _WITHIN_ENROLLING)
        return LiveEnrollment(self._people, profile, person_name(request.name or ""), until)

    def _finished(self, attempt: Attempt, asker: Asker, now: float) -> bool:
        """Tell what there is to tell; whether the attempt is over."""
        if asker.gone:
            # Hanging up before the refusal must not spare anybody the lockout.
            if isinstance(attempt, LiveVerification):
                self._refuse(attempt.seen)
            return True
        if self.lockout.left and not isinstance(attempt, LiveEnrollment):
            asker.tell({"error": self._locked()}, last=True)
            return True
        progress = attempt.progress(now)
        if progress is not None:
            asker.tell(progress, last=False)
        answer = attempt.answer(now)
        if answer is None:
            return False
        if isinstance(attempt, LiveVerification):
            self._count(answer)
        asker.tell(answer, last=True)
        return True

    def _locked(self) -> str:
        left = self.lockout.left
        return f"locked for {left:.0f} more seconds after too many refused attempts; wait"

    def _count(self, answer: Answer) -> None:
        """An attempt with a face in view that was refused counts towards the lockout."""
        if answer["match"]:
            self.lockout.accepted()
        else:
            self._refuse(answer["seen"])

    def _refuse(self, seen: bool) -> None:
        if seen and self.lockout.refused():
            self._locked_out(
                f"locked for {self.lockout.left:.0f} seconds after "
                f"{self.lockout.rules.attempts} refused attempts in a row"
            )
