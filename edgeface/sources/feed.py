"""Feeds: how the loop gets its frames.

Takes in `SourceSettings`, hands on the next frame to work on. A live source is read by a thread
that keeps only its newest frame, so that a slow decision never works on a stale picture; it is
reopened with growing pauses when it is lost, for as long as it takes. A file is read in step with
the loop, so that no frame of it is left out.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from edgeface.errors import EdgeFaceError
from edgeface.sources import Frame, SourceLost, SourceSettings, is_live, open_source
from edgeface.system.closing import Closing
from edgeface.system.threads import Worker

_log = logging.getLogger("edgeface.sources")
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts to open a lost source
_PATIENCE = 5.0  # seconds that a frame in work may take to be given back


@dataclass(frozen=True)
class Notice:
    """That the source was lost, or is back; told once for each."""

    lost: bool
    message: str


class Feed(Protocol):
    """An open feed."""

    @property
    def name(self) -> str:
        """What to call the source in a status line."""
        ...

    def next(self, limit: float) -> Frame | None:
        """The next frame, or None if there is none within `limit` seconds.

        The frame before it must not be read any more. Raises SourceEnded at the end of a file and
        other EdgeFaceErrors when the source can never work.
        """
        ...

    def notices(self) -> list[Notice]:
        """What happened to the source since the last call."""
        ...

    def close(self) -> None:
        """Let go of the source."""
        ...


def open_feed(settings: SourceSettings) -> LiveFeed | FileFeed:
    """The feed that fits the source."""
    return LiveFeed(settings) if is_live(settings) else FileFeed(settings)


class FileFeed(Closing):
    """Every frame of a file or folder, in order."""

    def __init__(self, settings: SourceSettings) -> None:
        self._source = open_source(settings)
        self.name = self._source.name

    def next(self, limit: float) -> Frame | None:
        return self._source.read()

    def notices(self) -> list[Notice]:
        return []

    def close(self) -> None:
        self._source.close()


class LiveFeed(Closing):
    """The newest frame of a camera, a stream, or a video at its own speed."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self.name = str(settings.spec)
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._taken: Frame | None = None
        self._fatal: EdgeFaceError | None = None
        self._notices: deque[Notice] = deque(maxlen=100)
        self._worker = Worker("capture", self._run)

    def next(self, limit: float) -> Frame | None:
        with self._changed:
            self._give_back()
            self._changed.wait_for(lambda: self._newest or self._fatal, limit)
            if self._newest is None and self._fatal is not None:
                raise self._fatal
            if self._newest is None and not self._worker.alive:
                raise EdgeFaceError(f"nothing reads {self.name} any more; start again")
            self._taken, self._newest = self._newest, None
            return self._taken

    def notices(self) -> list[Notice]:
        with self._changed:
            found = list(self._notices)
            self._notices.clear()
        return found

    def close(self) -> None:
        with self._changed:
            self._give_back()
        self._worker.close()

    def _give_back(self) -> None:
        if self._taken is not None:
            self._taken.release()
            self._taken = None
            self._changed.notify_all()

    def _run(self, stopping: threading.Event) -> None:
        pause, told = FIRST_PAUSE, False
        while not stopping.is_set():
            delivered = False
            try:
                for _ in self._captured(stopping):
                    if told:
                        self._tell(Notice(False, f"{self.name} is back"))
                    delivered, told, pause = True, False, FIRST_PAUSE
            except EdgeFaceError as error:
                if not isinstance(error, SourceLost):
                    self._fail(error)
                    return
                lost = str(error)
            except Exception as error:  # a driver's defect: opening it anew may help
                _log.exception("%s failed", self.name)
                lost = f"{self.name} failed ({type(error).__name__})"
            else:
                return
            # Told once: one that opens but gives no picture is still the same loss.
            if delivered or not told:
                self._tell(Notice(True, f"{lost}; trying again"))
            told = True
            stopping.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _captured(self, stopping: threading.Event) -> Iterator[None]:
        """Open the source and offer its frames, one a step, until asked to stop."""
        source = open_source(self._settings)
        self.name = source.name
        try:
            while not stopping.is_set():
                self._offer(source.read())
                yield
        finally:
            # Closing unmaps the camera's buffers, so nobody may be reading one.
            with self._changed:
                if self._newest is not None:
                    self._newest.release()
                    self._newest = None
                self._changed.wait_for(lambda: self._taken is None, _PATIENCE)
            source.close()

    def _offer(self, frame: Frame) -> None:
        with self._changed:
            if self._newest is not None:
                self._newest.release()
            self._newest = frame
            self._changed.notify()

    def _tell(self, notice: Notice) -> None:
        with self._changed:
            self._notices.append(notice)

    def _fail(self, error: EdgeFaceError) -> None:
        with self._changed:
            self._fatal = error
            self._changed.notify()
