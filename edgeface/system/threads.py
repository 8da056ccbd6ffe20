"""The one place that starts threads, so that every one of them is stopped.

Takes in a function that returns soon after its `stopping` event is set; hands on nothing. A thread
that is stuck in a system call (a camera driver, a dead server) is left behind after `close`'s
limit: it is a daemon, so it cannot keep the process from ending.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from edgeface.system.closing import Closing

LIMIT = 1.0  # seconds that `close` waits


class Worker(Closing):
    """A running thread; `target` gets the event that asks it to return."""

    def __init__(self, name: str, target: Callable[[threading.Event], None]) -> None:
        self.stopping = threading.Event()
        self._thread = threading.Thread(
            target=target, args=(self.stopping,), name=f"edgeface-{name}", daemon=True
        )
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread has not returned yet."""
        return self._thread.is_alive()

    def close(self, limit: float = LIMIT) -> bool:
        """Ask the thread to return and wait up to `limit` seconds; whether it did."""
        self.stopping.set()
        self._thread.join(limit)
        return not self._thread.is_alive()
