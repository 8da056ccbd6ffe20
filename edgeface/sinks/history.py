"""History: records each event in the local store before any other sink gets it.

Takes in events in the service's own thread, so that nothing is reported that a kill could make
unrecorded. While the store cannot be written (a full disk) events wait here and are recorded as
soon as it can be, without keeping the other sinks from them.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from edgeface.events import Event, to_json
from edgeface.history.store import HistoryError, HistoryStore, Row
from edgeface.sinks.settings import HistorySettings

_log = logging.getLogger("edgeface.sinks")
_PAUSE = 5.0  # seconds between two attempts to write
_BETWEEN_PRUNINGS = 3600.0  # seconds
_PRUNE_AFTER = 1000  # events
_STRUGGLING = 3  # failures in a row after which it is reported


class Recorder:
    """Writes the history. One thread at a time."""

    name = "history"

    def __init__(
        self,
        path: Path,
        settings: HistorySettings,
        tell: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tell` gets a sentence when the store cannot be written for a while."""
        self.path, self.settings = path, settings
        self.delivered = self.lost = 0
        self.trouble: str | None = None
        self._tell = tell or (lambda message: None)
        self._clock = clock
        self._rows: deque[Row] = deque()
        self._store: HistoryStore | None = None
        self._failures = self._since_pruned = 0
        self._next_try = self._next_pruning = clock()
        self.work()

    @property
    def waiting(self) -> int:
        """How many events could not be recorded yet."""
        return len(self._rows)

    def put(self, event: Event) -> None:
        """Record an event that is wanted; it is on the disk when this returns, or waits."""
        if event.type not in self.settings.events:
            return
        if len(self._rows) == self.settings.queue:
            self._rows.popleft()
            self.lost += 1
        body = to_json(event).decode()
        self._rows.append(Row(event.id, event.time, event.type, event.name, body))
        if not self._failures:
            self._attempt()

    def work(self) -> None:
        """Do what is due: record what waits, and remove what has become too old."""
        now = self._clock()
        if now >= (self._next_try if self._failures else self._next_pruning):
            self._attempt()

    def close(self) -> None:
        """Record what waits, if that can be done, and let go of the store."""
        if self._rows:
            self._attempt()
        self.lost += len(self._rows)
        self._rows.clear()
        if self._store is not None:
            self._store.close()
            self._store = None

    def _attempt(self) -> None:
        try:
            self._write()
        except HistoryError as error:
            self._failures += 1
            self._next_try = self._clock() + _PAUSE
            self.trouble = str(error)
            if self._store is not None:  # opened again next time: it may have been exchanged
                self._store.close()
                self._store = None
            if self._failures == _STRUGGLING:
                _log.warning("history: %s; trying again", error)
                self._tell(str(error))
        else:
            self._failures, self.trouble = 0, None

    def _write(self) -> None:
        if self._store is None:
            self._store = HistoryStore(self.path)
        if self._rows:
            rows = list(self._rows)
            self._store.record(rows)
            self._rows.clear()
            self.delivered += len(rows)
            self._since_pruned += len(rows)
        if self._clock() >= self._next_pruning or self._since_pruned >= _PRUNE_AFTER:
            self._next_pruning = self._clock() + _BETWEEN_PRUNINGS
            self._since_pruned = 0
            self._store.prune(self.settings.age, self.settings.size)
