"""Interface: the functions behind the console's pages and its JSON interface alike.

Takes in plain values, asks the service or the history, hands on plain values. It knows nothing of
HTTP, and changes nothing but through the service, which audits it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from edgeface.console.errors import Busy, Refused, ServiceAway
from edgeface.console.options import ConsoleOptions
from edgeface.console.service import ServiceSockets
from edgeface.console.uploads import SentPicture, Slot
from edgeface.errors import EdgeFaceError
from edgeface.history.reading import History, Wanted
from edgeface.history.table import ATTENDANCE_COLUMNS, EVENT_COLUMNS, as_csv

OUTPUTS = ("exec", "gpio", "live", "mqtt", "webhook")  # that rules may name
NO_RULES: dict[str, Any] = {"hours": None, "until": None, "outputs": None}
PAGE = 50  # events on a page
MOST_EVENTS = 500  # that are asked for at once
ENROLLING = 60.0  # seconds
WATCHING = 300  # seconds for which pictures come at most; a page then asks again
_KEPT = 20  # enrollments whose outcome is remembered
_BETWEEN = 1.0  # seconds between two looks for coming events
_MOST_LISTENERS = 8


@dataclass
class Enrolling:
    """Somebody who is being enrolled, at the door or from pictures. `state` is running, done or
    failed; rejected: `image`, its name, and the `reason` why it was left out."""

    number: str
    name: str
    state: str = "running"
    message: str = ""
    good: int = 0
    wanted: int = 0
    added: int = 0
    rejected: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """For the JSON interface."""
        return {
            "id": self.number,
            "name": self.name,
            "state": self.state,
            "message": self.message,
            "good": self.good,
            "wanted": self.wanted,
            "added": self.added,
            "rejected": self.rejected,
            "warnings": self.warnings,
        }


class Interface:
    """What the console can do. One event loop."""

    def __init__(self, options: ConsoleOptions) -> None:
        self._service = ServiceSockets(options.socket, options.admin_socket)
        self._history = options.history
        self._enrolling: dict[str, Enrolling] = {}
        self._listeners = 0
        self.slot = Slot()

    async def status(self) -> dict[str, Any]:
        """What the service does, with a sentence for everything that is wrong."""
        answer = await self._service.status()
        return {**answer, "findings": findings(answer)}

    async def people(self, by: str) -> list[dict[str, Any]]:
        """Who is enrolled, with their rules, and when each was last recognized where there is a
        history."""
        answer = await self._service.administer("list", by)
        try:
            seen = await asyncio.to_thread(self._last_seen)
        except EdgeFaceError:
            seen = {}
        rules = answer.get("rules", {})
        return [
            {
                **person,
                "last_recognized": seen.get(person["name"]),
                "rules": rules.get(person["name"], NO_RULES),
            }
            for person in answer["people"]
        ]

    async def remove(self, name: str, by: str, template: int | None = None) -> dict[str, Any]:
        """Remove a person with all templates, or one of these alone, by its number from 1."""
        more: dict[str, Any] = {} if template is None else {"template": template}
        return await self._service.administer("remove", by, name=name, **more)

    async def live(self, by: str, seconds: float) -> AsyncGenerator[dict[str, Any]]:
        """What the camera sees, picture by picture, for so long. The first one has come when this
        returns: until then it can still be refused."""
        pictures = self._service.watch(by, seconds)
        first = await anext(pictures, None)

        async def all_of_them() -> AsyncGenerator[dict[str, Any]]:
            async with aclosing(pictures):
                if first is not None:
                    yield first
                async for picture in pictures:
                    yield picture

        return all_of_them()

    async def rename(self, name: str, to: str, by: str) -> dict[str, Any]:
        """Give a person another name."""
        return await self._service.administer("rename", by, name=name, other=to)

    async def set_rules(self, name: str, rules: dict[str, Any], by: str) -> dict[str, Any]:
        """Set when somebody may open something, until when, and which outputs may act."""
        return await self._service.administer("rules", by, name=name, rules=rules)

    async def merge(self, name: str, into: str, by: str) -> dict[str, Any]:
        """Make two names one person, who keeps the name `into`."""
        return await self._service.administer("merge", by, name=name, other=into)

    def enroll(self, name: str, by: str) -> Enrolling:
        """Begin to enroll whoever stands at the door. Raises Busy while somebody is."""
        return self._begin(name, by, [])

    def enroll_pictures(self, name: str, pictures: list[SentPicture], by: str) -> Enrolling:
        """Begin to enroll a person from pictures. Raises Busy while somebody is being enrolled."""
        return self._begin(name, by, pictures)

    def _begin(self, name: str, by: str, pictures: list[SentPicture]) -> Enrolling:
        if any(one.state == "running" for one in self._enrolling.values()):
            raise Busy("somebody is being enrolled already; wait until that has ended")
        while len(self._enrolling) >= _KEPT:
            del self._enrolling[next(iter(self._enrolling))]
        one = Enrolling(secrets.token_hex(8), name)
        self._enrolling[one.number] = one
        one.task = asyncio.create_task(self._run(one, by, pictures))
        return one

    def enrolling(self, number: str) -> Enrolling | None:
        """The enrollment of this number."""
        return self._enrolling.get(number)

    async def cancel(self, one: Enrolling) -> None:
        """End an enrollment; nothing of it is kept."""
        if one.task is not None and not one.task.done():
            one.task.cancel()
            await asyncio.wait({one.task})

    async def _run(self, one: Enrolling, by: str, pictures: list[SentPicture]) -> None:
        def progress(state: dict[str, Any]) -> None:
            one.message = str(state.get("message", ""))
            one.good, one.wanted = int(state.get("good", 0)), int(state.get("wanted", 0))

        try:
            answer = await self._service.administer(
                "enroll",
                by,
                progress,
                within=None if pictures else ENROLLING,
                pictures=[picture.data for picture in pictures],
                name=one.name,
            )
        except Refused as error:
            one.state, one.message = "failed", str(error)
            one.rejected = _reasons(error.answer, pictures)
        except ServiceAway as error:
            one.state, one.message = "failed", str(error)
        except asyncio.CancelledError:
            one.state, one.message = "failed", "it was cancelled"
        else:
            one.state, one.name = "done", str(answer["name"])
            one.added, one.message = int(answer["added"]), ""
            one.rejected = _reasons(answer, pictures)
            one.warnings = [str(warning) for warning in answer.get("warnings", [])]

    async def identify(self, picture: SentPicture, by: str) -> dict[str, Any]:
        """Who is in a picture, face by face."""
        return await self._service.administer("identify", by, pictures=[picture.data])

    async def verify(self, name: str, picture: SentPicture, by: str) -> dict[str, Any]:
        """Whether a picture shows this person."""
        return await self._service.administer("verify", by, pictures=[picture.data], name=name)

    async def events(self, wanted: Wanted, most: int = PAGE) -> list[dict[str, Any]]:
        """Past events, newest first."""
        return await asyncio.to_thread(self._events, wanted, most)

    async def attendance(self, wanted: Wanted) -> list[dict[str, Any]]:
        """Who was recognized on which day."""
        return await asyncio.to_thread(self._attendance, wanted)

    async def counts(self) -> dict[str, int]:
        """How many past events there are of each kind."""
        return await asyncio.to_thread(self._counts)

    def events_csv(self, wanted: Wanted) -> Iterator[str]:
        """All events as CSV, line by line; for a thread."""
        with History(self._history) as history:
            yield from as_csv(EVENT_COLUMNS, history.events(wanted))

    def attendance_csv(self, wanted: Wanted) -> Iterator[str]:
        """Attendance as CSV, line by line; for a thread."""
        yield from as_csv(ATTENDANCE_COLUMNS, iter(self._attendance(wanted)))

    async def newest(self) -> int:
        """The place of the newest event. Raises HistoryError where there is no history."""
        return await asyncio.to_thread(self._newest)

    async def coming(self, after: int) -> AsyncGenerator[dict[str, Any] | None]:
        """Events after a place of the history, as they come; None now and then, for a sign of life.
        Raises Busy where too many listen."""
        if self._listeners >= _MOST_LISTENERS:
            raise Busy("too many listen for events already; close another page")
        self._listeners += 1
        try:
            while True:
                try:
                    found = await asyncio.to_thread(self._after, after)
                except EdgeFaceError:  # a history that is away for a moment
                    found = []
                for event in found:
                    after = event["seq"]
                    yield event
                yield None
                await asyncio.sleep(_BETWEEN)
        finally:
            self._listeners -= 1

    def _last_seen(self) -> dict[str, str]:
        with History(self._history) as history:
            return history.last_seen()

    def _events(self, wanted: Wanted, most: int) -> list[dict[str, Any]]:
        with History(self._history) as history:
            return list(history.events(wanted, most))

    def _attendance(self, wanted: Wanted) -> list[dict[str, Any]]:
        with History(self._history) as history:
            return [one.as_dict() for one in history.attendance(wanted)]

    def _counts(self) -> dict[str, int]:
        with History(self._history) as history:
            return history.counts()

    def _newest(self) -> int:
        with History(self._history) as history:
            return history.newest()

    def _after(self, place: int) -> list[dict[str, Any]]:
        with History(self._history) as history:
            return history.after(place, 100)


def _reasons(answer: dict[str, Any], pictures: list[SentPicture]) -> list[dict[str, str]]:
    """Which pictures were left out and why, by the names that their sender gave them."""
    found = []
    for one in answer.get("rejected", []):
        number = int(one.get("number", 0))
        known = pictures[number - 1].name if 1 <= number <= len(pictures) else ""
        found.append({"image": known or str(one["image"]), "reason": str(one["reason"])})
    return found


def findings(status: dict[str, Any]) -> list[str]:
    """A sentence for everything that the service's status says is wrong."""
    found = []
    if status.get("gallery_problem"):
        found.append(f"Nobody is recognized: {status['gallery_problem']}")
    if status.get("rules_problem"):
        found.append(f"The rules open nothing: {status['rules_problem']}")
    if status.get("locked_s"):
        found.append(
            f"The door is locked for {status['locked_s']:.0f} more seconds after too many refused "
            "attempts."
        )
    for sink in status.get("sinks", []):
        if sink["trouble"]:
            found.append(f"{sink['name']} is in trouble: {sink['trouble']}")
        elif sink["lost"]:
            found.append(f"{sink['name']} has lost {sink['lost']} events.")
    return found
