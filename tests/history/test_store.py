"""The history's file: whole after a kill, its owner's alone, bounded, and no other program's."""

from __future__ import annotations

import os
import signal
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgeface.cli import main
from edgeface.events import incident
from edgeface.history.reading import History, Wanted
from edgeface.history.store import HistoryError, HistoryStore, Row
from edgeface.sinks import Outlet, Outlets
from edgeface.sinks.history import Recorder
from edgeface.sinks.lines import Lines
from edgeface.sinks.settings import HistorySettings
from tests.helpers.command import call

KILLS = 20


def row(number: int, days_ago: float = 0.0, body: str = "{}") -> Row:
    moment = datetime.now(UTC) - timedelta(days=days_ago)
    time = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Row(f"{number:032x}", time, "recognized", "ada", body)


def count(path: Path) -> int:
    with History(path) as history:
        return len(list(history.events(Wanted())))


def report_until_killed(path: Path, pipe: int) -> None:
    """What a service does without end: report events, which a sink passes on."""
    with Outlets(
        [Outlet(lambda: Lines(pipe), "stdout", ["source_lost"], 100_000)],
        Recorder(path, HistorySettings()),
    ) as outlets:
        while True:
            outlets.put(incident("source_lost", "camera", "gone"))


def test_no_event_that_anybody_was_given_is_lost_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "history" / "events.sqlite"
    given: list[str] = []
    for kill in range(KILLS):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            try:
                report_until_killed(path, write)
            finally:
                os._exit(1)
        os.close(write)
        with os.fdopen(read) as lines:
            for number, line in enumerate(lines):
                if number == kill % 4:
                    os.kill(child, signal.SIGKILL)
                if line.endswith("\n"):
                    given.append(line)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
    done = call(main, "history", "--file", path, "--json", "--limit", "1000000")
    assert done.status == 0, done.stderr
    kept = {event["id"] for event in done.json["events"]}
    assert len(given) >= KILLS
    assert {line.split('"id":"')[1][:32] for line in given} <= kept


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "history" / "events.sqlite"
    with HistoryStore(path) as store:
        store.record([row(1)])
        for file in path.parent.iterdir():  # what SQLite makes beside it, too
            assert file.stat().st_mode & 0o777 == 0o600, file
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.parent.chmod(0o770)
    with pytest.raises(HistoryError, match="chmod go-w"):
        HistoryStore(path)


def test_it_is_not_followed_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "other.sqlite"
    HistoryStore(target).close()
    (tmp_path / "events.sqlite").symlink_to(target)
    with pytest.raises(HistoryError, match="symbolic link"):
        HistoryStore(tmp_path / "events.sqlite")


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    with HistoryStore(path) as store:
        store.record([row(1, days_ago=8), row(2, days_ago=6), row(3)])
        store.prune(age=7 * 86400, size=10**9)
    assert count(path) == 2


def test_the_oldest_go_where_it_is_too_large_and_the_file_shrinks(tmp_path: Path) -> None:
    path, body = tmp_path / "events.sqlite", '{"message":"' + 1000 * "x" + '"}'
    with HistoryStore(path) as store:
        store.record([row(number, body=body) for number in range(3000)])
        store.prune(age=86400, size=1_000_000)
        with History(path) as history:
            left = list(history.events(Wanted()))
    assert path.stat().st_size <= 1_100_000
    assert 500 < len(left) < 1000
    assert left[0]["seq"] == 3000  # the newest is there


def test_an_event_is_recorded_once(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    for _ in range(2):
        with HistoryStore(path) as store:
            store.record([row(1)])
    assert count(path) == 1


@pytest.mark.parametrize(
    "content", [b"no database at all " * 100, b"SQLite format 3\0" + b"x" * 99]
)
def test_a_damaged_history_is_a_sentence_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "events.sqlite"
    path.write_bytes(content)
    with pytest.raises(HistoryError, match="is damaged"):
        HistoryStore(path)
    done = call(main, "history", "--file", path)
    assert done.status == 2
    assert "cannot read the history" in done.stderr
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE events (id)")
    database.close()
    with pytest.raises(HistoryError, match="no history"):
        HistoryStore(path)
    assert call(main, "history", "--file", path).status == 2


def test_a_missing_history_says_how_to_have_one(tmp_path: Path) -> None:
    done = call(main, "history", "--file", tmp_path / "events.sqlite")
    assert done.status == 2
    assert "[history]" in done.stderr
