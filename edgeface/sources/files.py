"""Pictures, folders of pictures and videos as sources.

Takes in a path, hands on frames in order: pictures one by one (each a scene of its own), videos at
their own speed or as fast as they are read. It never skips a picture silently: a folder without a
readable picture, or a file that is no video, is an error.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import cv2

from edgeface.errors import ConfigError, PictureError
from edgeface.pipeline.pictures import Picture, read_picture
from edgeface.sources.base import (
    Frame,
    SourceEnded,
    SourceLost,
    SourceSettings,
    next_picture,
    open_capture,
    upright,
)
from edgeface.sources.limits import too_large
from edgeface.system.chatter import overheard
from edgeface.system.legible import legible

_log = logging.getLogger("edgeface.source")
_USUAL_FPS = 25.0  # for a video that does not say


class Pictures:
    """A picture, or a folder's pictures by name; the source's clock counts one second each."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        path = Path(settings.spec)
        self.name = legible(path.name or path.absolute().name or path)
        self._folder = path.is_dir()
        self._paths = sorted(p for p in path.iterdir() if p.is_file()) if self._folder else [path]
        self._position = self._given = self._given_this_round = 0

    def read(self) -> Frame:
        while True:
            if self._position == len(self._paths):
                self._begin_again()
            path = self._paths[self._position]
            self._position += 1
            try:
                picture = read_picture(path)
            except PictureError as error:
                if not self._folder:
                    raise
                _log.warning("left out: %s", error)
                continue
            self._given += 1
            self._given_this_round += 1
            return Frame(
                upright(picture, self._settings),
                float(self._given),
                still=True,
                name=f"{self.name}/{legible(path.name)}" if self._folder else None,
            )

    def _begin_again(self) -> None:
        if not self._given_this_round:
            raise ConfigError(
                f"the folder {legible(self._settings.spec)} holds no picture; add some"
            )
        if not self._settings.loop:
            raise SourceEnded(f"{self.name} has no more pictures")
        self._position = self._given_this_round = 0

    def close(self) -> None:
        self._paths = []


class Video:
    """A video file; its clock is the video's own and goes on when it begins again."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._path = Path(settings.spec)
        self.name = legible(self._path.name)
        try:
            self._capture = _open_file(self._path)
        except (SourceLost, OSError):
            raise ConfigError(
                f"{legible(self._path)} is no video that can be read; use another file, or convert "
                "it to MP4"
            ) from None
        unfit = too_large(self._capture)
        if unfit:
            self._capture.release()
            raise ConfigError(f"the video {legible(self._path)} {unfit}; make it smaller first")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._step = 1 / (fps if 1 <= fps <= 1000 else _USUAL_FPS)
        self._position = 0
        self._started = time.monotonic()

    def read(self) -> Frame:
        picture = next_picture(self._capture)
        if picture is None:
            picture = self._begin_again()
        due = self._position * self._step
        self._position += 1
        if self._settings.pace == "own":
            time.sleep(max(0.0, self._started + due - time.monotonic()))
        return Frame(upright(picture, self._settings), due)

    def _begin_again(self) -> Picture:
        if not self._position:
            raise ConfigError(f"the video {legible(self._path)} has no frame that can be read")
        if self._settings.loop:
            # A fresh open rather than a seek: seeking is inexact in many containers.
            self._capture.release()
            self._capture = _open_file(self._path)
            picture = next_picture(self._capture)
            if picture is not None:
                return picture
        raise SourceEnded(f"{self.name} has ended")

    def close(self) -> None:
        self._capture.release()


def _open_file(path: Path) -> cv2.VideoCapture:
    """An open video file, whatever bytes its name has; SourceLost or OSError where it is none."""
    whole = str(path.absolute())  # FFmpeg reads "12:30.mp4" as the address of something
    # FFmpeg's log is off, unless the program used OpenCV before us.
    with overheard():
        if whole.isprintable():
            return open_capture(whole, cv2.CAP_ANY, {})
        # OpenCV ends the whole process at a name that is not UTF-8.
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return open_capture(f"/proc/self/fd/{descriptor}", cv2.CAP_FFMPEG, {})
        finally:
            os.close(descriptor)
