"""Sinks: where events go, each of which may fail without stopping anything else.

Takes in events (and the frame's cut-out of the face, which only the snapshot folder uses), hands
them to every sink that wants them. Each sink has a bounded queue and a worker of its own: a broker
that is down delays nobody. An event leaves its queue when its sink has delivered it or given it
up; when the queue is full the oldest goes. What was given up or lost is counted and reported.

What only records events gets every one, however late. What acts upon them, a door opener above all,
gets none that is older than a few seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from edgeface.errors import EdgeFaceError
from edgeface.events import Event
from edgeface.pipeline.pictures import Picture
from edgeface.system.closing import Closing
from edgeface.system.threads import Worker

_log = logging.getLogger("edgeface.sinks")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0  # seconds between attempts
_DRAIN = 1.0  # seconds that closing gives a sink for what still waits
_STRUGGLING = 3  # failures in a row after which they are reported
FRESHNESS = 3.0  # seconds after its frame in which an event may be acted upon

Left = Callable[[], float]
"""The seconds for which an event may still be acted upon; 0 or less when it is too late."""


class SinkError(EdgeFaceError, OSError):
    """A delivery that failed but may succeed later."""

    __str__ = Exception.__str__


class Undelivered(SinkError):
    """An event that cannot be delivered, now or later; the next one may be."""


class Sink(Protocol):
    """Called by one worker thread alone, `close` at its end in any case."""

    name: str
    acts: bool
    """Whether it does something in the world, so that it must get no event that is late."""

    def deliver(self, event: Event, picture: Picture | None, left: Left) -> None:
        """Deliver the event; SinkError to be called with it again, later, Undelivered to give it up
        as lost."""
        ...

    def idle(self) -> float:
        """Do what is due without an event; returns in how many seconds to be called again."""
        ...

    def close(self) -> None:
        """Leave the outside in a safe state and let go of everything."""
        ...


@dataclass(frozen=True)
class _Waiting:
    """An event in the queue; `seen` is when its frame was taken, by the outlet's clock."""

    event: Event
    picture: Picture | None
    seen: float


class Outlet:
    """A sink with its queue and its worker.

    freshness: seconds after its frame in which an event may be acted upon; clock: counts seconds
    and is never set, as a wall clock may be.
    """

    def __init__(
        self,
        make: Callable[[], Sink],
        name: str,
        wanted: Sequence[str],
        most: int,
        report: Callable[[str], None] | None = None,
        freshness: float = FRESHNESS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.delivered = self.lost = 0
        self._refused = 0  # events given up since one was delivered
        self.trouble: str | None = None
        self._make, self._most = make, most
        self._wanted = frozenset(wanted)
        self._report = report or (lambda message: None)
        self._freshness, self._clock = freshness, clock
        self._waiting: deque[_Waiting] = deque()
        self._first: _Waiting | None = None  # what the sink had last
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._worker = Worker(name, self._run)

    @property
    def waiting(self) -> int:
        """How many events have not been delivered yet."""
        return len(self._waiting)

    def put(self, event: Event, picture: Picture | None = None, seen: float | None = None) -> None:
        """Queue the event if this sink wants its kind; returns at once.

        seen: when its frame was taken, by the monotonic clock; now, for what is about no frame.
        """
        if event.type not in self._wanted:
            return
        with self._changed:
            if len(self._waiting) == self._most:
                self._waiting.popleft()
                self.lost += 1
            seen = self._clock() if seen is None else seen
            self._waiting.append(_Waiting(event, picture, seen))
            self._changed.notify()

    def take_over(self, before: Outlet) -> None:
        """Go on with the counts of an outlet that has been closed, and with what it still held."""
        self.delivered += before.delivered
        with before._changed, self._changed:
            left = list(before._waiting)
            before._waiting.clear()
            mine = [one for one in left if one.event.type in self._wanted]
            kept = mine[-self._most :] if self._most else []
            self._waiting.extendleft(reversed(kept))
            self.lost += before.lost + len(left) - len(kept)
            self._changed.notify()

    def begin_closing(self) -> None:
        """Stop soon: what waits gets a last second. `close` waits for it."""
        self._deadline = time.monotonic() + _DRAIN
        self._worker.stopping.set()
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        """Deliver what still can be, then close the sink; takes little more than a second."""
        if self._deadline is None:
            self.begin_closing()
        self._worker.close(_DRAIN + 0.3)

    def _run(self, stopping: threading.Event) -> None:
        sink: Sink | None = None
        pause = _FIRST_PAUSE
        failures = 0
        try:
            while not self._done(stopping):
                try:
                    sink = sink or self._make()
                    pause_after = self._step(sink)
                    # An event that was given up is trouble until another one is delivered.
                    self.trouble = self.trouble if self._refused else None
                    pause, failures = _FIRST_PAUSE, 0
                    self._rest(pause_after, stopping, wake=True)
                    continue
                except Undelivered as error:
                    self._drop_first()
                    self._refused += 1
                    self._note(str(error), self._refused == _STRUGGLING, "it is given up")
                    continue
                except EdgeFaceError as error:
                    failures += 1
                    self._note(str(error), failures == _STRUGGLING)
                except Exception as error:  # a defect of one sink must not spread
                    failures += 1
                    _log.exception("%s failed", self.name)
                    self._note(f"{type(error).__name__}: {error}", True)
                    self._drop_first()
                    if sink is not None:
                        sink.close()
                        sink = None
                self._rest(pause, stopping, wake=False)
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            if sink is not None:
                sink.close()

    def _step(self, sink: Sink) -> float:
        """Deliver the first event that waits, or let the sink do what is due."""
        if not self._waiting:
            return sink.idle()
        first = self._first = self._waiting[0]
        late = sink.acts and self._left(first) <= 0
        if not late:
            sink.deliver(first.event, first.picture, partial(self._left, first))
        with self._changed:
            # A full queue may have dropped this very event meanwhile.
            if self._waiting and self._waiting[0] is first:
                self._waiting.popleft()
                self.lost += late
        if late:
            _log.warning("%s: an event came too late to act upon (%s)", self.name, first.event.id)
        else:
            self.delivered += 1
            self._refused = 0
        return sink.idle()

    def _left(self, waiting: _Waiting) -> float:
        """How long the event may still be acted upon.

        The monotonic clock decides. The wall clock can only refuse: an event that seems to come
        from the future or from long ago was dated wrongly, or the clock has been set since.
        """
        written = datetime.now(UTC) - datetime.fromisoformat(waiting.event.time)
        age = self._clock() - waiting.seen
        if age < 0 or not 0 <= written.total_seconds() <= self._freshness:
            return 0.0
        return self._freshness - age

    def _drop_first(self) -> None:
        """Give up the event that the sink had last, so that it gets it no more."""
        with self._changed:
            # A full queue may have dropped this very event meanwhile.
            if self._waiting and self._waiting[0] is self._first:
                self._waiting.popleft()
                self.lost += 1

    def _rest(self, seconds: float, stopping: threading.Event, *, wake: bool) -> None:
        """Wait; the request to close ends it, and with `wake` an event that waits."""
        with self._changed:
            if stopping.is_set():
                self._changed.wait(min(seconds, 0.05))
            else:
                self._changed.wait_for(
                    lambda: stopping.is_set() or (wake and self._waiting), seconds
                )

    def _done(self, stopping: threading.Event) -> bool:
        if not stopping.is_set():
            return False
        return not self._waiting or time.monotonic() > (self._deadline or 0.0)

    def _note(self, trouble: str, report: bool, then: str = "trying again") -> None:
        self.trouble = trouble
        if report:
            _log.warning("%s: %s; %s", self.name, trouble, then)
            self._report(trouble)


class Reported(Protocol):
    """What `edgeface status` says about a sink: how many events were delivered, wait, were lost."""

    name: str
    delivered: int
    lost: int
    trouble: str | None

    @property
    def waiting(self) -> int: ...


class First(Reported, Protocol):
    """Gets every event before the sinks do, in the thread that reports it: the history."""

    def put(self, event: Event) -> None:
        """Record the event; raises nothing."""
        ...

    def work(self) -> None:
        """Do what is due without an event."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Outlets(Closing):
    """All sinks together, and what records the events `first`."""

    def __init__(self, outlets: Sequence[Outlet], first: First | None = None) -> None:
        self.outlets, self.first = tuple(outlets), first

    @property
    def reported(self) -> list[Reported]:
        """Every sink, for `edgeface status`."""
        return [*self.outlets, *([self.first] if self.first is not None else [])]

    def put(
        self,
        event: Event,
        picture: Picture | None = None,
        seen: float | None = None,
        instead: Mapping[str, Event] | None = None,
    ) -> None:
        """Record the event, then queue it for every sink that wants it. `seen` as in `Outlet`;
        `instead` is what sinks of these names get in its place."""
        seen = time.monotonic() if seen is None else seen
        if self.first is not None:
            self.first.put(event)
        for outlet in self.outlets:
            outlet.put((instead or {}).get(outlet.name, event), picture, seen)

    def work(self) -> None:
        """Do what is due without an event."""
        if self.first is not None:
            self.first.work()

    def close(self) -> None:
        """Close all sinks, at the same time."""
        if self.first is not None:
            self.first.close()
        for outlet in self.outlets:
            outlet.begin_closing()
        for outlet in self.outlets:
            outlet.close()
