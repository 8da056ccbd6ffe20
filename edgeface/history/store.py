"""Store: the SQLite file of past events, and the one process that writes it.

Takes in events as rows, brings each to the disk before `record` returns, and removes the oldest
beyond an age and a size. The file is its owner's alone (0600), in a folder that no other user can
change, and is not followed through a link. It decides nothing and reads no settings.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from edgeface.errors import ConfigError
from edgeface.system.closing import Closing
from edgeface.system.storage import Folder

MARK = 0x45464831  # application_id of the file: "EFH1"
FORMAT = 1  # user_version
_BUSY = 1.0  # seconds to wait for another process
_SHARE = 0.1  # of the rows that go at once when the file has become too large
_SCHEMA = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    time TEXT NOT NULL,
    type TEXT NOT NULL,
    name TEXT,
    body TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (time);
CREATE INDEX events_by_name ON events (name, time);
"""


class HistoryError(ConfigError):
    """A history file that is missing, damaged, another program's, or cannot be written."""


class Row(NamedTuple):
    """An event; `time` is UTC, RFC 3339 with milliseconds, `body` the whole event as JSON."""

    id: str
    time: str
    type: str
    name: str | None
    body: str


class HistoryStore(Closing):
    """The file, open for adding. Raises HistoryError throughout."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            _prepare(path)
            self._database = sqlite3.connect(
                path, timeout=_BUSY, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise _trouble(path, error) from None
        try:
            self._set_up()
        except sqlite3.Error as error:
            self._database.close()
            raise _trouble(path, error) from None
        except HistoryError:
            self._database.close()
            raise

    def close(self) -> None:
        """Let go of the file; what was recorded is on the disk already."""
        self._database.close()

    def record(self, rows: Sequence[Row]) -> None:
        """Add events; they survive a kill and a power cut when this returns. An event that is there
        already is not added twice."""
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany(
                    "INSERT OR IGNORE INTO events (id, time, type, name, body) "
                    "VALUES (?, ?, ?, ?, ?)",
                    rows,
                )
        except sqlite3.Error as error:
            raise _trouble(self.path, error) from None

    def prune(self, age: float, size: int) -> None:
        """Remove what is older than `age` seconds, and the oldest while there are more than `size`
        bytes; what is removed is overwritten."""
        oldest = datetime.now(UTC) - timedelta(seconds=age)
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.execute("DELETE FROM events WHERE time < ?", (_text(oldest),))
                while self._used() > size and (
                    count := self._number("SELECT count(*) FROM events")
                ):
                    self._database.execute(
                        "DELETE FROM events WHERE seq IN "
                        "(SELECT seq FROM events ORDER BY seq LIMIT ?)",
                        (max(1, int(count * _SHARE)),),
                    )
            self._database.executescript("PRAGMA incremental_vacuum")  # `execute` does one page
            # What was removed is to be gone from the disk, not only from what is read.
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise _trouble(self.path, error) from None

    def _used(self) -> int:
        pages = self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count")
        return pages * self._number("PRAGMA page_size")

    def _number(self, statement: str) -> int:
        return int(self._database.execute(statement).fetchone()[0])

    def _set_up(self) -> None:
        mark = self._number("PRAGMA application_id")
        fresh = mark == 0 and not self._number("SELECT count(*) FROM sqlite_master")
        if fresh:
            self._database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        elif (mark, self._number("PRAGMA user_version")) != (MARK, FORMAT):
            raise foreign(self.path)
        self._database.execute("PRAGMA journal_mode = WAL").fetchall()
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("PRAGMA secure_delete = ON").fetchall()
        self._database.execute("PRAGMA journal_size_limit = 1000000").fetchall()
        if fresh:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA application_id = {MARK}")
                self._database.execute(f"PRAGMA user_version = {FORMAT}")


def foreign(path: Path) -> HistoryError:
    """What to say about a file that is another program's."""
    return HistoryError(
        f"{path} is no history of this version of EdgeFace; move it away, or choose another "
        "[history] file"
    )


def _prepare(path: Path) -> None:
    """Make the file (0600) and its folder (0700) where they are missing; refuse a link, and a
    folder that other users can change."""
    with Folder(path.parent, create=True) as folder:
        mode = folder.own_stat().st_mode
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise HistoryError(
                f"other users may change the folder of the history {path} (mode "
                f"{stat.S_IMODE(mode):04o}); run: chmod go-w {path.parent}"
            )
        handle = folder.open(path.name, os.O_RDWR | os.O_CREAT)
        try:
            os.fchmod(handle, 0o600)
        finally:
            os.close(handle)


def _trouble(path: Path, error: OSError | sqlite3.Error) -> HistoryError:
    if isinstance(error, HistoryError):
        return error
    if isinstance(error, OSError):
        return HistoryError(f"cannot keep the history {path} ({error.strerror or error})")
    if isinstance(error, sqlite3.OperationalError):
        return HistoryError(f"cannot write the history {path} ({error})")
    return HistoryError(
        f"the history {path} is damaged ({error}); move it away, and a new one is begun"
    )


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
