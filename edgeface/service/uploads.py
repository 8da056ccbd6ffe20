"""Uploads: pictures that an administrator sends through the control socket, judged one by one.

Takes in the bytes of picture files, one at a time, hands on answers: an enrollment, an
identification, a verification. Each turn of the loop takes one step, so that the camera is looked
after meanwhile, and one picture is decoded at a time. A picture proves no life: what is answered
here opens nothing and counts for no lockout.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from edgeface.enrollment import Candidate, Rejection
from edgeface.errors import EdgeFaceError, FaceError, PictureError
from edgeface.pipeline.pictures import Picture, decode_picture
from edgeface.service.people import People

_TIME_TO_SEND = 60.0  # seconds that a client may take for a picture
Answer = dict[str, Any]


class Delivery:
    """The pictures that follow a request: a client's thread puts, the loop takes."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self._sizes = sizes
        self._arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._wanted = asyncio.Semaphore(0)

    def take(self) -> bytes | None:
        """The picture asked for, once it is there."""
        try:
            return self._arrived.get_nowait()
        except queue.Empty:
            return None

    def ask(self) -> None:
        """Have the next picture read; for the loop's thread."""
        with contextlib.suppress(RuntimeError):  # the server has been closed
            self._loop.call_soon_threadsafe(self._wanted.release)

    async def receive(self, reader: asyncio.StreamReader) -> None:
        """Read each picture when it is asked for. OSError, TimeoutError, EOFError end it."""
        for size in self._sizes:
            await self._wanted.acquire()
            async with asyncio.timeout(_TIME_TO_SEND):
                self._arrived.put(await reader.readexactly(size))


class Sender(Protocol):
    """Whoever sends pictures and waits for the answer."""

    def reply(self, answer: Answer, *, last: bool) -> None: ...

    @property
    def delivery(self) -> Delivery | None: ...

    @property
    def gone(self) -> bool: ...


class Task(Protocol):
    """What is to be done with the pictures; EdgeFaceError where it cannot be."""

    def see(self, position: int, data: bytes) -> None:
        """Judge the bytes of the picture at this position, from 0."""
        ...

    def answer(self) -> Answer:
        """The answer, after the last picture."""
        ...


class UploadedEnrollment:
    """Enroll `name` from pictures; each that is refused has its reason in the answer."""

    def __init__(self, people: People, name: str) -> None:
        self._people, self.name = people, people.may_enroll(name)
        self._candidates: list[Candidate] = []
        self._rejected: list[Rejection] = []

    def see(self, position: int, data: bytes) -> None:
        try:
            frame = _decoded(position, data)
        except PictureError as error:
            self._rejected.append(Rejection(position, str(error)))
            return
        seen = self._people.candidate(position, frame)
        if isinstance(seen, Candidate):
            self._candidates.append(seen)
        else:
            self._rejected.append(seen)

    def answer(self) -> Answer:
        try:
            done = self._people.enroll_candidates(self.name, self._candidates, self._rejected)
        except FaceError as error:
            return {"error": str(error), "rejected": _reasons(self._rejected)}
        return {
            "name": done.name,
            "templates": done.templates,
            "added": done.added,
            "rejected": _reasons(done.rejected),
            "warnings": list(done.warnings),
        }


class UploadedIdentification:
    """Who is in one picture."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._faces: list[Answer] = []

    def see(self, position: int, data: bytes) -> None:
        found = self._people.identify_picture(_decoded(position, data))
        self._faces = [
            {
                "box": [round(edge, 1) for edge in face.box],
                "name": decision.name,
                "score": decision.score,
                "threshold": decision.threshold,
                "note": decision.note,
            }
            for face, decision in found
        ]

    def answer(self) -> Answer:
        return {"faces": self._faces}


class UploadedVerification:
    """Whether one picture shows `name`."""

    def __init__(self, people: People, name: str) -> None:
        people.require(name)
        self._people, self.name = people, name
        self._answer: Answer = {}

    def see(self, position: int, data: bytes) -> None:
        decision = self._people.verify_picture(self.name, decode_picture(data, _called(position)))
        self._answer = {
            "match": decision.match,
            "name": self.name,
            "score": decision.score,
            "threshold": decision.threshold,
            "note": decision.note,
        }

    def answer(self) -> Answer:
        return self._answer


Finished = Callable[[Answer | None], None]
"""Takes the answer as it will be given, or None where nobody waits for it any more."""


class Uploads:
    """What is being done with pictures that are sent; one client at a time, one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._now: _Upload | None = None

    def begin(self, task: Task, sender: Sender, count: int, finished: Finished) -> None:
        """Ask `sender` for `count` pictures, one after the other. EdgeFaceError where another sends
        some."""
        if self._now is not None:
            raise EdgeFaceError("somebody else is sending pictures; try again in a moment")
        if sender.delivery is None:
            raise EdgeFaceError("the pictures are missing; send them after the request")
        self._now = _Upload(task, sender, sender.delivery, count, finished, self._clock)

    def work(self) -> None:
        """Take the next step, at most one picture."""
        if self._now is not None and self._now.step():
            self._now = None

    def close(self, sentence: str) -> None:
        """Answer whoever sends pictures that it ends, and why."""
        if self._now is not None:
            self._now.end({"error": sentence})
            self._now = None


class _Upload:
    def __init__(
        self,
        task: Task,
        sender: Sender,
        delivery: Delivery,
        count: int,
        finished: Finished,
        clock: Callable[[], float],
    ) -> None:
        self._task, self._sender, self._delivery = task, sender, delivery
        self._count, self._finished, self._clock = count, finished, clock
        self._seen = 0
        self._ask()

    def step(self) -> bool:
        """Judge the picture that has come, if one has; whether all is over."""
        if self._sender.gone:
            self.end(None)
            return True
        data = self._delivery.take()
        if data is None:
            if self._clock() < self._until:
                return False
            self.end({"error": "the pictures did not come in time; nothing was changed"})
            return True
        try:
            self._task.see(self._seen, data)
            del data
            self._seen += 1
            if self._seen < self._count:
                self._ask()
                return False
            answer = self._task.answer()
        except EdgeFaceError as error:
            answer = {"error": str(error)}
        self.end(answer)
        return True

    def end(self, answer: Answer | None) -> None:
        """Have it recorded, then answer."""
        self._finished(answer)
        if answer is not None:
            self._sender.reply(answer, last=True)

    def _ask(self) -> None:
        self._until = self._clock() + _TIME_TO_SEND
        self._delivery.ask()
        progress = {
            "message": f"{_called(self._seen)} of {self._count}",
            "good": self._seen,
            "wanted": self._count,
            "send": self._seen + 1,
        }
        self._sender.reply({"progress": progress}, last=False)


def _decoded(position: int, data: bytes) -> Picture:
    return decode_picture(data, f"number {position + 1}")


def _reasons(rejected: Sequence[Rejection]) -> list[Answer]:
    return [
        {"image": _called(one.position), "number": one.position + 1, "reason": one.reason}
        for one in rejected
    ]


def _called(position: int) -> str:
    return f"picture {position + 1}"
