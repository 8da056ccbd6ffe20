"""Desk: requests to the running service, answered by the loop between frames.

Takes in `Request`s from any thread, hands their answers to whoever asked. Live attempts see every
observation that the loop makes; their outcome counts for the lockout. Whoever may only ask gets no
scores and changes nothing; every administrative request is audited. It reads no socket.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import msgspec

from edgeface.errors import EdgeFaceError
from edgeface.events import EventType
from edgeface.gallery.names import person_name
from edgeface.gallery.rules import RulesChange
from edgeface.gallery.rules_file import as_dict
from edgeface.liveness import Profile
from edgeface.service.attempts import (
    Answer,
    Attempt,
    LiveEnrollment,
    LiveIdentification,
    LiveVerification,
)
from edgeface.service.audit import AuditLog
from edgeface.service.config import RecognitionSettings
from edgeface.service.frame_result import FrameResult
from edgeface.service.lockout import Lockout
from edgeface.service.peers import Peer
from edgeface.service.people import People
from edgeface.service.permits import Permits
from edgeface.service.uploads import (
    Delivery,
    Task,
    UploadedEnrollment,
    UploadedIdentification,
    UploadedVerification,
    Uploads,
)
from edgeface.service.viewers import Viewers
from edgeface.system.upload import LARGEST_PICTURE, MOST_PICTURES, too_much

_log = logging.getLogger("edgeface.service")
_MOST_WAITING = 32
_MOST_ATTEMPTS = 4
# Seconds for an attempt where nothing else is asked.
_WITHIN, _WITHIN_CHALLENGED, _WITHIN_ENROLLING, _WITHIN_WATCHING = 5.0, 30.0, 60.0, 60.0
_ADMINISTRATIVE = frozenset(
    {"reload", "enroll", "remove", "rename", "merge", "list", "rules", "watch"}
)
_OF_ADMINISTRATORS = frozenset({"score", "threshold"})  # keys that an asker gets as null


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be asked; `within` is the limit of a live attempt in seconds, by default 5, 30 where
    there is a challenge to pass, 60 to enroll or watch; `challenge` asks for one whatever the
    profile. `other` is the name that `rename` gives, or the person that `merge` leaves; `template`
    the number from 1 of the one that `remove` removes; `watch` gives pictures for `within` seconds.
    `rules` sets the `rules` of somebody, or shows them. `reload`, `enroll`, `remove`, `rename`,
    `merge`, `list`, `rules` and `watch` need the right to administer; `via` says for whom a client
    asks, for the audit log. With `pictures`, the sizes in bytes of picture files that follow,
    `enroll`, `identify` and `verify` judge these instead of the camera's, and need that right,
    too."""

    command: Literal[
        "status",
        "reload",
        "verify",
        "identify",
        "enroll",
        "remove",
        "rename",
        "merge",
        "list",
        "rules",
        "watch",
    ]
    name: str | None = None
    within: Annotated[float, msgspec.Meta(gt=0, le=300)] | None = None
    challenge: bool = False
    via: (
        Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")] | None
    ) = None
    other: str | None = None
    template: Annotated[int, msgspec.Meta(ge=1)] | None = None
    pictures: (
        Annotated[
            tuple[Annotated[int, msgspec.Meta(ge=1, le=LARGEST_PICTURE)], ...],
            msgspec.Meta(min_length=1, max_length=MOST_PICTURES),
        ]
        | None
    ) = None
    rules: RulesChange | None = None


class Asker(Protocol):
    """Whoever waits for an answer."""

    def reply(self, answer: Answer, *, last: bool) -> None:
        """Pass on an answer; after the `last` one nothing follows."""
        ...

    @property
    def gone(self) -> bool:
        """Whether nobody waits any more."""
        ...

    @property
    def peer(self) -> Peer:
        """Who it is."""
        ...

    @property
    def administers(self) -> bool:
        """Whether it may change settings and people, and see scores."""
        ...

    @property
    def delivery(self) -> Delivery | None:
        """The pictures that it sends, if it does."""
        ...


class _OnBehalf:
    """An asker that says for whom it asks; that counts for the audit log and for nothing else."""

    def __init__(self, asker: Asker, via: str) -> None:
        self._asker, self.via = asker, via

    def reply(self, answer: Answer, *, last: bool) -> None:
        self._asker.reply(answer, last=last)

    @property
    def gone(self) -> bool:
        return self._asker.gone

    @property
    def peer(self) -> Peer:
        return self._asker.peer

    @property
    def administers(self) -> bool:
        return self._asker.administers

    @property
    def delivery(self) -> Delivery | None:
        return self._asker.delivery


class Hooks(NamedTuple):
    """What the desk has the service's loop do."""

    status: Callable[[], Answer]
    reload: Callable[[], None]
    emit: Callable[[EventType, str, str | None], None]
    """Takes the kind of an incident, its sentence, and the name of the person it is about."""


class Desk:
    """Waiting requests and attempts in progress. `submit` is for other threads."""

    def __init__(
        self,
        people: People,
        lockout: Lockout,
        rules: RecognitionSettings,
        profile: Profile,
        hooks: Hooks,
        audit: AuditLog | None = None,
        permits: Permits | None = None,
    ) -> None:
        """Without an `audit` log every administrative request is refused; without `permits` nobody
        has rules."""
        self._permits = permits
        self._people, self.lockout = people, lockout
        self.rules, self.profile = rules, profile
        self._hooks, self._audit = hooks, audit
        self._waiting: queue.Queue[tuple[Request, Asker]] = queue.Queue(_MOST_WAITING)
        self._attempts: list[tuple[Attempt, Asker]] = []
        self.viewers = Viewers()
        self._uploads = Uploads()

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
            asker.reply({"error": "too many requests are waiting; try again later"}, last=True)

    def see(self, result: FrameResult) -> None:
        """Show what a frame showed to every attempt; one that cannot go on is answered why."""
        now = time.monotonic()
        going_on = []
        for attempt, asker in self._attempts:
            try:
                attempt.see(result, now)
            except EdgeFaceError as error:  # its person has been removed, for example
                self._end(attempt, asker, {"error": str(error)})
            else:
                going_on.append((attempt, asker))
        self._attempts = going_on

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
                asker.reply({"error": str(error)}, last=True)
        now = time.monotonic()
        self._attempts = [pair for pair in self._attempts if not self._finished(*pair, now)]
        self.viewers.work()
        if self._audit is not None:
            self._audit.work()
        self._uploads.work()

    def close(self) -> None:
        """Answer everybody that the service ends."""
        self.work()
        stopping = {"error": "the service is stopping"}
        for attempt, asker in self._attempts:
            if isinstance(attempt, LiveEnrollment):
                self._record_enrollment(attempt.name, asker, stopping)
            asker.reply(stopping, last=True)  # which is no refusal, and counts for nothing
        self._attempts = []
        self.viewers.close(stopping["error"])
        if self._audit is not None:
            self._audit.close()
        self._uploads.close(stopping["error"])

    def _begin(self, request: Request, asker: Asker) -> None:
        if request.name is not None:  # one form from here on: what is checked is what is stored
            request = msgspec.structs.replace(request, name=person_name(request.name))
        if request.via is not None:
            asker = _OnBehalf(asker, request.via)
        if request.other is not None:
            request = msgspec.structs.replace(request, other=person_name(request.other))
        if request.command in _ADMINISTRATIVE or request.pictures:
            self._administer(request, asker)
        elif request.command == "status":
            asker.reply(self._hooks.status(), last=True)
        else:
            self._start(self._attempt(request), asker)

    def _start(self, attempt: Attempt, asker: Asker) -> None:
        if len(self._attempts) >= _MOST_ATTEMPTS:
            raise EdgeFaceError("the camera is busy with other attempts; try again")
        self._attempts.append((attempt, asker))

    def _administer(self, request: Request, asker: Asker) -> None:
        """What administrators ask, for whoever may; the record comes before the answer."""
        try:
            self._require_administrator(request, asker)
            if request.pictures:
                self._judge_pictures(request, asker, request.pictures)
                return
            if request.command == "enroll":
                # It is recorded when it has ended, by `_end`.
                self._start(self._enrollment(request), asker)
                return
            if request.command == "watch":
                self.viewers.add(asker, request.within or _WITHIN_WATCHING)
                self._record(asker, request.command, None, "done")
                return
            answer = self._do(request)
        except EdgeFaceError as error:
            outcome = "failed" if asker.administers else "refused"
            self._record(asker, request.command, request.name, outcome, str(error))
            raise
        self._record(asker, request.command, request.name, "done", _what_else(request, answer))
        for kind, name, words in _changes(request):
            self._emit(asker, kind, name, words)
        asker.reply(answer, last=True)

    def _judge_pictures(self, request: Request, asker: Asker, sizes: tuple[int, ...]) -> None:
        """Have pictures sent and judged; it is recorded when that has ended."""
        if problem := too_much(sizes):
            raise EdgeFaceError(problem)
        if request.challenge:
            raise EdgeFaceError("a picture passes no challenge; ask without it")
        task: Task
        if request.command == "enroll":
            task = UploadedEnrollment(self._people, _named(request))
        elif request.command not in ("identify", "verify"):
            raise EdgeFaceError(f"{request.command} takes no pictures")
        elif len(sizes) > 1:
            raise EdgeFaceError(f"{request.command} takes one picture at a time")
        elif request.command == "identify":
            task = UploadedIdentification(self._people)
        else:
            task = UploadedVerification(self._people, _named(request))

        def finished(answer: Answer | None) -> None:
            if request.command == "enroll":
                self._record_enrollment(request.name, asker, answer)
            else:
                failure = _failure(answer)
                outcome = "done" if failure is None else "failed"
                self._record(asker, request.command, request.name, outcome, failure or "a picture")

        self._uploads.begin(task, asker, len(sizes), finished)

    def _require_administrator(self, request: Request, asker: Asker) -> None:
        if not asker.administers:
            raise EdgeFaceError(
                f"{request.command} is for administrators: ask on the socket for administering, "
                "as root or as a member of its group (sudo usermod -aG edgeface-admin $USER, then "
                "log in again)"
            )
        if self._audit is None:
            raise EdgeFaceError(
                f"the service keeps no audit log, so {request.command} is refused; restart it with "
                "[control] in its settings"
            )

    def _do(self, request: Request) -> Answer:
        if request.command == "reload":
            self._hooks.reload()
            return {"reloaded": True}
        if request.command == "list":
            raised = self._people.correction
            return {
                "people": self._people.reports(),
                "threshold_raised": round(raised.raised, 4),
                "threshold_note": raised.sentence,
                **(self._permits.listed() if self._permits is not None else {}),
            }
        name = _named(request)
        if request.command == "rules":
            return self._rules(name, request.rules)
        if request.command in ("rename", "merge"):
            if request.other is None:
                raise EdgeFaceError(f"{request.command} needs another name, as other")
            act = self._people.rename if request.command == "rename" else self._people.merge
            return {"name": request.other, "before": name, "templates": act(name, request.other)}
        which = () if request.template is None else (request.template,)
        templates, left = self._people.remove(name, *which)
        return {"name": name, "templates": templates, "people": left}

    def _rules(self, name: str, change: RulesChange | None) -> Answer:
        rules = self._people.rules(name)
        if change is not None:
            rules = change.applied(rules)
            self._people.set_rules(name, rules)
            if self._permits is not None:
                self._permits.refresh()
        return {"name": name, **as_dict(rules)}

    def _record(
        self, asker: Asker, command: str, name: str | None, outcome: str, detail: str | None = None
    ) -> None:
        """Add to the audit log."""
        if isinstance(asker, _OnBehalf):
            detail = f"via {asker.via}" + (f": {detail}" if detail else "")
        if self._audit is not None:
            try:
                self._audit.add(asker.peer, command, name, outcome, detail)
            except EdgeFaceError as error:
                _log.error("%s", error)

    def _emit(self, asker: Asker, kind: EventType, name: str | None, words: str) -> None:
        """Emit the event of what was done, and by whom."""
        self._hooks.emit(kind, f"{words} by {asker.peer.user or f'uid {asker.peer.uid}'}", name)

    def _attempt(self, request: Request) -> Attempt:
        profile = Profile.HIGH_SECURITY if request.challenge else self.profile
        if request.command == "enroll":
            return self._enrollment(request)
        usual = _WITHIN_CHALLENGED if profile.challenged else _WITHIN
        until = time.monotonic() + (request.within or usual)
        name = _named(request) if request.command == "verify" else None
        self._require_unlocked(name)
        if profile.challenged and any(a.profile.challenged for a, _ in self._attempts):
            raise EdgeFaceError("somebody else is being challenged; try again in a moment")
        if name is None:
            return LiveIdentification(self._people, self.rules, profile, until)
        return LiveVerification(self._people, self.rules, profile, name, until)

    def _enrollment(self, request: Request) -> Attempt:
        """Passive cues alone: the poses are no challenge, and pictures held up are refused."""
        if request.challenge:
            raise EdgeFaceError("a challenge is for verify and identify; enroll without it")
        self._require_unlocked(None)
        profile = Profile.STANDARD if self.profile.judged else self.profile
        until = time.monotonic() + (request.within or _WITHIN_ENROLLING)
        return LiveEnrollment(self._people, profile, _named(request), until)

    def _require_unlocked(self, name: str | None) -> None:
        if left := self.lockout.left(name):
            raise EdgeFaceError(
                f"locked for {max(1.0, left):.0f} more seconds after too many refused attempts; "
                "wait"
            )

    def _finished(self, attempt: Attempt, asker: Asker, now: float) -> bool:
        """Answer what there is to answer; whether the attempt is over."""
        if asker.gone:
            self._end(attempt, asker, None)
            return True
        try:
            self._require_unlocked(attempt.claimed)
            progress = attempt.progress(now)
            if progress is not None:
                asker.reply(progress, last=False)
            answer = attempt.answer(now)
        except EdgeFaceError as error:
            answer = {"error": str(error)}
        if answer is None:
            return False
        self._end(attempt, asker, answer)
        return True

    def _end(self, attempt: Attempt, asker: Asker, answer: Answer | None) -> None:
        """Count and record how an attempt ended, then answer; None where the asker has left."""
        if isinstance(attempt, LiveEnrollment):
            self._record_enrollment(attempt.name, asker, answer)
        else:
            self._count(attempt, answer)
        if answer is not None and self._permits is not None:
            answer = self._permits.answer(answer)
        if answer is not None:
            asker.reply(answer if asker.administers else _without_scores(answer), last=True)

    def _record_enrollment(self, name: str | None, asker: Asker, answer: Answer | None) -> None:
        failure = _failure(answer)
        if answer is None or failure is not None:
            self._record(asker, "enroll", name, "failed", failure)
            return
        self._record(asker, "enroll", name, "done", f"{answer['added']} templates added")
        self._emit(asker, "person_enrolled", name, "enrolled")

    def _count(self, attempt: Attempt, answer: Answer | None) -> None:
        """An attempt with a face in view that was refused counts towards the lockout.

        Leaving before the refusal must not spare anybody the lockout, nor must an error.
        """
        accepted = attempt.accepted(answer) if answer is not None else []
        for name in accepted:
            self.lockout.accepted(name)
        if not accepted and attempt.seen:
            locked = self.lockout.refused(attempt.claimed)
            if locked is not None:
                self._hooks.emit("lockout", locked, None)


def _named(request: Request) -> str:
    """The name in a request that needs one."""
    if request.name is None:
        raise EdgeFaceError(f"{request.command} needs a name")
    return request.name


def _failure(answer: Answer | None) -> str | None:
    """Why something was not done; None where it was."""
    return "the connection was closed" if answer is None else answer.get("error")


def _what_else(request: Request, answer: Answer) -> str | None:
    """What the audit log says about a request besides its name."""
    if request.command == "rules":
        which = "set to" if request.rules is not None else "shown:"
        limits = ("hours", "until", "outputs")
        found = [f"{key} {answer[key]}" for key in limits if answer[key] is not None]
        return f"{which} {'; '.join(found) or 'no limit'}"
    if request.template is not None:
        return f"template {request.template}"
    return None if request.other is None else f"to {request.other}"


def _changes(request: Request) -> list[tuple[EventType, str | None, str]]:
    """The events of what was done: kind, the person it is about, and words for it."""
    name, other = request.name, request.other
    if request.command == "reload":
        return [("settings_changed", None, "settings brought into force")]
    if request.command == "remove" and request.template is None:
        return [("person_removed", name, "removed")]
    if request.command == "merge":
        return [("person_removed", name, f"merged into {other}")]
    if request.command == "rename":
        return [
            ("person_removed", name, f"renamed to {other}"),
            ("person_enrolled", other, f"renamed from {name}"),
        ]
    return []


def _without_scores(answer: Any) -> Any:
    """An answer for who may only ask: a score would say how near a forgery came."""
    if isinstance(answer, dict):
        return {
            key: None if key in _OF_ADMINISTRATORS else _without_scores(value)
            for key, value in answer.items()
        }
    return [_without_scores(each) for each in answer] if isinstance(answer, list) else answer
