"""Queues of sinks: bounded, retried, and never in anybody's way."""

from __future__ import annotations

import os
import time
from pathlib import Path

from edgeface.events import Event
from edgeface.pipeline.pictures import Picture
from edgeface.sinks import Outlet, Outlets, SinkError
from edgeface.sinks.lines import Lines
from tests.helpers.sinks import event, wait_until


class Flaky:
    """A sink that fails as often as it is told to."""

    name = "flaky"

    def __init__(self, failures: int = 0, error: type[Exception] = SinkError) -> None:
        self.failures, self.error = failures, error
        self.got: list[str] = []
        self.closed = 0

    def deliver(self, event: Event, picture: Picture | None) -> None:
        if self.failures:
            self.failures -= 1
            raise self.error("not now")
        self.got.append(event.id)

    def idle(self) -> float:
        return 60.0

    def close(self) -> None:
        self.closed += 1


def test_events_arrive_in_order_in_spite_of_failures() -> None:
    sink = Flaky(failures=4)
    told: list[str] = []
    with Outlets([Outlet(lambda: sink, "flaky", ["recognized"], 100, told.append)]) as outlets:
        events = [event() for _ in range(10)]
        for one in events:
            outlets.put(one)
        wait_until(lambda: len(sink.got) == 10)
    assert sink.got == [one.id for one in events]
    assert len(told) == 1
    assert sink.closed == 1


def test_a_sink_gets_only_the_kinds_that_it_wants() -> None:
    sink = Flaky()
    with Outlets([Outlet(lambda: sink, "flaky", ["unknown"], 100)]) as outlets:
        outlets.put(event("recognized"))
        wanted = event("unknown", None)
        outlets.put(wanted)
    assert sink.got == [wanted.id]


def test_a_full_queue_loses_the_oldest_and_counts_them() -> None:
    sink = Flaky(failures=1_000_000)
    outlet = Outlet(lambda: sink, "flaky", ["recognized"], 5)
    events = [event() for _ in range(8)]
    for one in events:
        outlet.put(one)
    assert (outlet.waiting, outlet.lost) == (5, 3)
    sink.failures = 0
    wait_until(lambda: len(sink.got) == 5)
    assert sink.got == [one.id for one in events[3:]]
    outlet.close()


def test_a_sink_that_crashes_is_closed_and_opened_again() -> None:
    sinks = [Flaky(failures=1, error=RuntimeError), Flaky()]
    made = iter(sinks)
    outlet = Outlet(lambda: next(made), "flaky", ["recognized"], 5)
    outlet.put(event())
    second = event()
    outlet.put(second)
    wait_until(lambda: sinks[1].got == [second.id])
    assert sinks[0].closed == 1
    outlet.close()
    assert outlet.lost == 1


def test_closing_gives_up_on_a_sink_that_never_recovers() -> None:
    outlet = Outlet(lambda: Flaky(failures=1_000_000), "flaky", ["recognized"], 5)
    outlet.put(event())
    began = time.monotonic()
    outlet.close()
    assert time.monotonic() - began < 10
    assert not outlet._worker.alive


def test_lines_are_json_and_a_reader_that_left_is_no_failure(tmp_path: Path) -> None:
    read, write = os.pipe()
    lines = Lines(write)
    one = event()
    lines.deliver(one, None)
    assert os.read(read, 10_000).endswith(b"}\n")
    os.close(read)
    lines.deliver(one, None)
    lines.deliver(one, None)
    os.close(write)
