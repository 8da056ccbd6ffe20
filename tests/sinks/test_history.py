"""The history as a sink: first to get an event, and nobody's hindrance when it cannot write."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgeface.events import Event, incident
from edgeface.history.reading import History, Wanted
from edgeface.sinks.history import Recorder
from edgeface.sinks.settings import HistorySettings


def one(number: int = 0) -> Event:
    return incident("source_lost", "camera", str(number))


def messages(path: Path) -> list[str]:
    with History(path) as history:
        return [event["message"] for event in history.events(Wanted())][::-1]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_could_not_be_written_is_recorded_in_order_as_soon_as_it_can_be(
    tmp_path: Path,
) -> None:
    clock, told = Clock(), list[str]()
    folder = tmp_path / "history"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)  # others could change it: refused
    path = folder / "events.sqlite"
    recorder = Recorder(path, HistorySettings(queue=3), told.append, clock)
    for number in range(4):
        recorder.put(one(number))
    assert (recorder.waiting, recorder.lost, recorder.delivered) == (3, 1, 0)
    for _ in range(5):
        recorder.work()
        clock.now += 5.1
    assert len(told) == 1  # however often it is tried
    assert "chmod go-w" in told[0]
    folder.chmod(0o700)
    recorder.work()
    assert recorder.trouble is None
    recorder.put(one(4))
    assert messages(path) == ["1", "2", "3", "4"]
    recorder.close()


def test_only_the_kinds_that_are_wanted_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    recorder = Recorder(path, HistorySettings(events=("unknown",)))
    recorder.put(one())
    recorder.close()
    assert messages(path) == []


def test_what_becomes_too_old_goes_without_an_event(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "events.sqlite"
    recorder = Recorder(path, HistorySettings(), clock=clock)
    recorder.put(one())
    recorder.put(msgspec.structs.replace(one(1), id="old", time="2020-01-01T00:00:00.000Z"))
    recorder.work()
    assert messages(path) == ["0", "1"]
    clock.now += 3601
    recorder.work()
    assert messages(path) == ["0"]
    recorder.close()
