"""What the tests of sinks share: events, waiting, free ports."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import msgspec

from edgeface.events import Event, incident


def event(kind: str = "recognized", name: str | None = "ada", message: str = "") -> Event:
    """An event as the loop makes them."""
    made = incident(kind, "a test", message)  # type: ignore[arg-type]
    return msgspec.structs.replace(made, name=name, track=1, score=0.8, threshold=0.5)


class Clock:
    """Seconds that only the test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fresh() -> float:
    """The seconds left of an event that has just come."""
    return 3.0


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Return when the condition holds; fail the test if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.01)


def free_port() -> int:
    """A TCP port on loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
