"""What a history says: by person, kind and day of the machine's own time zone."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edgeface.cli import main
from edgeface.events import Event, EventType, to_json
from edgeface.history.store import HistoryStore, Row
from tests.helpers.command import Outcome, call

FORMULA = '=HYPERLINK("http://x","y")'
EVENTS: tuple[tuple[str, EventType, str | None], ...] = (
    ("2026-03-27T23:30:00.000Z", "recognized", "ada"),  # the 28th in Berlin
    ("2026-03-28T08:00:00.000Z", "recognized", "bob"),
    ("2026-03-28T22:59:00.000Z", "recognized", "ada"),  # still the 28th
    ("2026-03-28T23:01:00.000Z", "recognized", "ada"),  # the 29th, whose clocks go forward
    ("2026-03-29T10:00:00.000Z", "unknown", None),
    ("2026-03-29T21:59:00.000Z", "recognized", FORMULA),  # 23:59, in summer time
    ("2026-03-29T22:01:00.000Z", "lockout", None),  # the 30th
)


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "events.sqlite"
    with HistoryStore(found) as store:
        for number, (moment, kind, name) in enumerate(EVENTS):
            event = Event(
                type=kind,
                time=moment,
                track=number,
                name=name,
                score=-0.5,
                threshold=0.25,
                id=f"{number:032x}",
                source="camera",
            )
            body = to_json(event).decode()
            store.record([Row(event.id, event.time, event.type, event.name, body)])
    return found


def history(path: Path, *arguments: str) -> Outcome:
    return call(main, "history", "--file", path, *arguments)


def tracks(path: Path, *arguments: str) -> list[int]:
    done = history(path, "--json", *arguments)
    assert done.status == 0, done.stderr
    return [event["track"] for event in done.json["events"]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), [6, 5, 4, 3, 2, 1, 0]),
        (("--limit", "2"), [6, 5]),
        (("--person", "ada"), [3, 2, 0]),
        (("--person", "nobody"), []),
        (("--kind", "unknown", "--kind", "lockout"), [6, 4]),
        (("--day", "2026-03-28"), [2, 1, 0]),
        (("--day", "2026-03-29"), [5, 4, 3]),
        (("--day", "2026-03-28", "--until", "2026-03-29", "--person", "ada"), [3, 2, 0]),
        (("--day", "2026-03-30"), [6]),
        (("--day", "9999-12-31"), []),
        (("--day", "0001-01-01", "--until", "2026-03-27"), []),
    ],
)
def test_events_are_found_by_person_kind_and_day(
    path: Path, arguments: tuple[str, ...], expected: list[int]
) -> None:
    assert tracks(path, *arguments) == expected


def test_an_event_comes_back_as_it_was(path: Path) -> None:
    event = history(path, "--json", "--limit", "1").json["events"][0]
    assert msgspec.convert(event, Event).type == "lockout"
    assert set(event) == set(Event.__struct_fields__)


def test_attendance_is_by_day_and_person(path: Path) -> None:
    found = history(path, "--attendance", "--json").json["attendance"]
    assert [(one["day"], one["name"], one["times"]) for one in found] == [
        ("2026-03-29", FORMULA, 1),
        ("2026-03-29", "ada", 1),
        ("2026-03-28", "ada", 2),
        ("2026-03-28", "bob", 1),
    ]
    assert "2026-03-28 ada: 00:30 to 23:59, 2 times" in history(path, "--attendance").stdout


@pytest.mark.parametrize("arguments", [("--csv",), ("--attendance", "--csv")])
def test_no_cell_of_a_table_is_a_formula(path: Path, arguments: tuple[str, ...]) -> None:
    rows = list(csv.DictReader(io.StringIO(history(path, *arguments).stdout)))
    assert len(rows) == (4 if "--attendance" in arguments else len(EVENTS))
    assert f"'{FORMULA}" in {row["name"] for row in rows}
    for row in rows:
        assert not any(cell.startswith(("=", "+", "@")) for cell in row.values())
    if "score" in rows[0]:
        assert float(rows[0]["score"]) == -0.5  # a number stays one


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--until", "2026-03-28"), "needs --day"),
        (("--day", "2026-03-28", "--until", "2026-03-27"), "lies before"),
        (("--day", "yesterday"), "yesterday"),
        (("--csv", "--json"), "either"),
        (("--attendance", "--kind", "unknown"), "leave out"),
        (("--kind", "nonsense"), "nonsense"),
    ],
)
def test_a_wrong_option_is_a_sentence(path: Path, arguments: tuple[str, ...], reason: str) -> None:
    done = history(path, *arguments)
    assert done.status == 2
    assert reason in done.stderr
