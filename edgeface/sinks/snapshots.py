"""Snapshots: a folder of the faces that events are about, bounded in size and age.

Takes in events with the cut-out of their face, writes `TIME-NAME-ID.jpg`, and removes the oldest
when there are too many or they are too old. It exists only where the settings ask for it, writes
into no folder that other users share, and follows no link in it.
"""

from __future__ import annotations

import fnmatch
import re
import stat
import time
from pathlib import Path

import cv2

from edgeface.errors import ConfigError
from edgeface.events import Event
from edgeface.pipeline.pictures import Picture
from edgeface.sinks import Left, SinkError
from edgeface.sinks.settings import SnapshotsSettings
from edgeface.system.storage import Folder

_LONGEST_NAME = 150  # bytes of a person's name in a file's, which may have 255
_REST = 600.0  # seconds between looks for pictures that have become too old


class Snapshots:
    """Writes into one folder, and removes only files of its own making."""

    name = "snapshots"
    acts = False

    def __init__(self, settings: SnapshotsSettings) -> None:
        self._settings = settings
        self._folder = Path(settings.folder)
        if self._folder.is_dir():
            self._opened().close()

    def deliver(self, event: Event, picture: Picture | None, left: Left) -> None:
        if picture is None or not picture.size:
            return
        data = cv2.imencode(".jpg", picture)[1].tobytes()
        when = re.sub(r"[^0-9TZ]", "", event.time)
        who = re.sub(r"\W", "_", event.name or "unknown")
        who = who.encode()[:_LONGEST_NAME].decode(errors="ignore")
        name = f"{when}-{who}-{event.id[:8]}.jpg"
        try:
            with self._opened() as folder:
                folder.replace(folder.write(name, [data]), name)
                folder.sync()
                self._tidy(folder, len(data))
        except OSError as error:
            raise SinkError(f"cannot write into {self._folder} ({error.strerror})") from None

    def idle(self) -> float:
        try:
            with self._opened() as folder:
                self._tidy(folder, 0)
        except OSError as error:
            raise SinkError(f"cannot tidy {self._folder} ({error.strerror})") from None
        return _REST

    def close(self) -> None:
        """Nothing stays open between events."""

    def _opened(self) -> Folder:
        """The folder, which is made where it is missing; ConfigError for one that others share."""
        folder = Folder(self._folder, create=True)
        mode = folder.own_stat().st_mode
        if mode & (stat.S_IWGRP | stat.S_IRWXO):
            folder.close()
            raise ConfigError(
                f"others may use the folder of snapshots {self._folder} (mode "
                f"{stat.S_IMODE(mode):04o}); run: chmod 700 {self._folder}"
            )
        return folder

    def _tidy(self, folder: Folder, newest: int) -> None:
        """Remove the oldest beyond the limits, but never the one just written."""
        kept = 0
        oldest = time.time() - self._settings.age
        for name in sorted(fnmatch.filter(folder.names(), "*T*Z-*.jpg"), reverse=True):
            state = folder.stat(name)
            kept += state.st_size
            if state.st_mtime < oldest or (kept > self._settings.size and kept > newest):
                folder.remove(name)
