"""Queues of sinks: bounded, retried, and never in anybody's way."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from edgeface.events import Event
from edgeface.pipeline.pictures import Picture
from edgeface.sinks import Left, Outlet, Outlets, SinkError, Undelivered
from edgeface.sinks.lines import Lines
from tests.helpers.sinks import Clock, event, fresh, wait_until


class Flaky:
    """A sink that fails as often as it is told to."""

    name = "flaky"

    def __init__(
        self, failures: int = 0, error: type[Exception] = SinkError, acts: bool = False
    ) -> None:
        self.failures, self.error, self.acts = failures, error, acts
        self.got: list[str] = []
        self.closed = 0

    def deliver(self, event: Event, picture: Picture | None, left: Left) -> None:
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


def moved(one: Event, seconds: float) -> Event:
    """The same event, dated by a wall clock that is wrong by so much."""
    then = datetime.fromisoformat(one.time) + timedelta(seconds=seconds)
    return msgspec.structs.replace(one, time=then.isoformat())


def delivered(acts: bool, late: float = 0.0, dated: float = 0.0, limit: float = 3.0) -> int:
    """How many of one event a sink gets that is free again `late` seconds after its frame."""
    clock, sink = Clock(), Flaky(failures=1, acts=acts)
    outlet = Outlet(lambda: sink, "flaky", ["recognized"], 5, freshness=limit, clock=clock)
    seen, clock.now = clock.now, clock.now + late
    outlet.put(moved(event(), dated), seen=seen)
    wait_until(lambda: not outlet.waiting)
    outlet.close()
    assert outlet.delivered + outlet.lost == 1
    return len(sink.got)


@pytest.mark.parametrize("late", [0.0, 2.9, 3.1, 60.0, 1e6, -0.1])
def test_only_a_fresh_event_reaches_what_acts_upon_it(late: float) -> None:
    assert delivered(acts=True, late=late) == (0 <= late <= 2.9)
    assert delivered(acts=False, late=late) == 1


@pytest.mark.parametrize("dated", [-3600.0, -10.0, 1.0, 60.0, 3600.0])
def test_an_event_dated_in_the_future_or_by_a_clock_set_since_then_opens_nothing(
    dated: float,
) -> None:
    assert delivered(acts=True, dated=dated) == 0
    assert delivered(acts=False, dated=dated) == 1


@pytest.mark.parametrize("dated", [0.0, 60.0, -60.0])
def test_no_wall_clock_makes_an_old_event_a_fresh_one(dated: float) -> None:
    assert delivered(acts=True, late=60.0, dated=dated) == 0


def test_the_limit_is_the_setting_s() -> None:
    assert delivered(acts=True, late=0.9, limit=1.0) == 1
    assert delivered(acts=True, late=1.1, limit=1.0) == 0


def test_an_event_that_becomes_late_between_two_attempts_is_given_up() -> None:
    clock, sink = Clock(), Flaky(failures=1_000_000, acts=True)
    outlet = Outlet(lambda: sink, "flaky", ["recognized"], 5, clock=clock)
    outlet.put(event())
    wait_until(lambda: outlet.trouble)
    clock.now += 3.1
    wait_until(lambda: outlet.lost == 1)
    sink.failures = 0
    fresh = event()
    outlet.put(fresh)
    wait_until(lambda: sink.got == [fresh.id])
    outlet.close()


def test_lines_are_json_and_a_reader_that_left_is_no_failure(tmp_path: Path) -> None:
    read, write = os.pipe()
    lines = Lines(write)
    one = event()
    lines.deliver(one, None, fresh)
    assert os.read(read, 10_000).endswith(b"}\n")
    os.close(read)
    lines.deliver(one, None, fresh)
    lines.deliver(one, None, fresh)
    os.close(write)


class Particular(Flaky):
    """A sink that refuses joe's events for good."""

    def deliver(self, event: Event, picture: Picture | None, left: Left) -> None:
        if event.name == "joe":
            raise Undelivered("joe is refused")


def test_only_what_was_delivered_counts_as_delivered() -> None:
    outlet = Outlet(Particular, "particular", ["recognized"], 9)
    for name in ("ada", "joe"):
        outlet.put(event(name=name))
    wait_until(lambda: outlet.lost == 1)
    wait_until(lambda: outlet.trouble == "joe is refused")
    assert (outlet.delivered, outlet.waiting) == (1, 0)
    outlet.put(event(name="ada"))
    wait_until(lambda: outlet.delivered == 2)
    wait_until(lambda: outlet.trouble is None)
    outlet.close()


def test_what_waits_goes_on_to_the_successor_with_the_counts() -> None:
    before = Outlet(lambda: Flaky(failures=1_000_000), "flaky", ["recognized", "unknown"], 9)
    events = [event("unknown", None), *(event() for _ in range(6))]
    for one in events:
        before.put(one)
    before.begin_closing()
    before.close()
    assert before.waiting == 7
    sink = Flaky()
    after = Outlet(lambda: sink, "flaky", ["recognized"], 5)
    after.take_over(before)
    wait_until(lambda: len(sink.got) == 5)
    assert sink.got == [one.id for one in events[2:]]
    wait_until(lambda: after.delivered == 5)
    assert after.lost == 2  # one of a kind that it does not take, and one too many
    after.close()
