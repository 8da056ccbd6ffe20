"""Reading: what a history says, by person, kind and day, and who came when.

Takes in the path of a history and a `Wanted`, hands on events as they were recorded, newest first,
and attendance by day and person. Days are those of the machine's time zone. It changes nothing.
"""

from __future__ import annotations

import sqlite3
import urllib.parse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec

from edgeface.history.store import FORMAT, MARK, HistoryError, foreign
from edgeface.system.closing import Closing

_BUSY = 2.0  # seconds to wait for the writer
_CHUNK = 500


@dataclass(frozen=True)
class Wanted:
    """Which events: all that fit every filter that is given. `first` and `last` are days, both
    included; `before` is the `seq` of an event, for the page that follows it."""

    name: str | None = None
    kinds: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None
    before: int | None = None


@dataclass(frozen=True)
class Attendance:
    """One person on one day: when first and last recognized (UTC, RFC 3339), and how often."""

    day: str
    name: str
    first: str
    last: str
    times: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class History(Closing):
    """A history that is open for reading. Raises HistoryError throughout."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise HistoryError(
                f"there is no history {path}; the service keeps one with [history] in its settings"
            )
        try:
            # Not `immutable`: the service writes meanwhile.
            self._database = sqlite3.connect(
                f"file:{urllib.parse.quote(str(path))}?mode=ro",
                uri=True,
                timeout=_BUSY,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise self._trouble(error) from None
        try:
            mark, version = (
                self._database.execute(f"PRAGMA {key}").fetchone()[0]
                for key in ("application_id", "user_version")
            )
        except sqlite3.Error as error:
            self._database.close()
            raise self._trouble(error) from None
        if (mark, version) != (MARK, FORMAT):
            self._database.close()
            raise foreign(path)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def events(self, wanted: Wanted, most: int | None = None) -> Iterator[dict[str, Any]]:
        """Events, newest first, at most so many; each with its place in the history, `seq`."""
        where, values = _conditions(wanted)
        if wanted.before is not None:
            where.append("seq < ?")
            values.append(wanted.before)
        limit = -1 if most is None else most
        text = f"SELECT seq, body FROM events{_where(where)} ORDER BY seq DESC LIMIT ?"  # noqa: S608
        for seq, body in self._rows(text, [*values, limit]):
            yield {"seq": seq, **_event(body)}

    def after(self, seq: int, most: int) -> list[dict[str, Any]]:
        """The next events after that place, oldest first."""
        text = "SELECT seq, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
        return [{"seq": at, **_event(body)} for at, body in self._rows(text, [seq, most])]

    def newest(self) -> int:
        """The place of the newest event; 0 where there is none."""
        return int(next(self._rows("SELECT coalesce(max(seq), 0) FROM events", []))[0])

    def counts(self) -> dict[str, int]:
        """How many events there are of each kind."""
        return dict(self._rows("SELECT type, count(*) FROM events GROUP BY type", []))

    def last_seen(self) -> dict[str, str]:
        """When each person was last recognized."""
        text = "SELECT name, max(time) FROM events WHERE type = 'recognized' GROUP BY name"
        return dict(self._rows(text, []))

    def attendance(self, wanted: Wanted) -> list[Attendance]:
        """Who was recognized on which day, the newest day first, then by name."""
        found: dict[tuple[str, str], tuple[str, str, int]] = {}
        where, values = _conditions(wanted)
        where.append("type = 'recognized' AND name IS NOT NULL")
        text = f"SELECT time, name FROM events{_where(where)} ORDER BY time"  # noqa: S608
        for moment, name in self._rows(text, values):
            key = (local(moment).date().isoformat(), name)
            first, _, times = found.get(key, (moment, moment, 0))
            found[key] = (first, moment, times + 1)
        by_name = sorted(found, key=lambda key: key[1])
        return [
            Attendance(day, name, *found[day, name])
            for day, name in sorted(by_name, key=lambda key: key[0], reverse=True)
        ]

    def _rows(self, text: str, values: list[Any]) -> Iterator[Any]:
        try:
            cursor = self._database.execute(text, values)
            while rows := cursor.fetchmany(_CHUNK):
                yield from rows
        except sqlite3.Error as error:
            raise self._trouble(error) from None

    def _trouble(self, error: sqlite3.Error) -> HistoryError:
        return HistoryError(
            f"cannot read the history {self.path} ({error}); it is for the service's own user and "
            "root"
        )


def local(moment: str) -> datetime:
    """The time of an event in the machine's time zone."""
    return datetime.fromisoformat(moment).astimezone()


def _conditions(wanted: Wanted) -> tuple[list[str], list[Any]]:
    where: list[str] = []
    values: list[Any] = []
    if wanted.name is not None:
        where.append("name = ?")
        values.append(wanted.name)
    if wanted.kinds:
        where.append(f"type IN ({', '.join('?' * len(wanted.kinds))})")
        values += wanted.kinds
    if wanted.first is not None:
        where.append("time >= ?")
        values.append(_begin(wanted.first))
    if wanted.last is not None and wanted.last < date.max:
        where.append("time < ?")
        values.append(_begin(wanted.last + timedelta(days=1)))
    return where, values


def _begin(day: date) -> str:
    """When a day of the machine's time zone begins, as events write it."""
    try:
        moment = datetime.combine(day, time()).astimezone(UTC)
    except (OverflowError, ValueError):  # a year that the system's clock does not know
        moment = datetime.combine(day, time(), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _event(body: str) -> dict[str, Any]:
    event: dict[str, Any] = msgspec.json.decode(body)
    return event
