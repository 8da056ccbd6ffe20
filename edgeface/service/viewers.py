"""Viewers: what the camera sees, for administrators who ask to watch.

Takes in each frame with the faces in it, hands on small JPEG pictures, a few a second. However many
watch, a frame is encoded once, and while nobody watches nothing is. It judges nothing and keeps no
picture.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import cv2

from edgeface.errors import EdgeFaceError
from edgeface.pipeline.geometry import Box
from edgeface.pipeline.pictures import Picture

MOST = 4  # who watch at once
_LONGEST_SIDE = 640  # pixels
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 70)
_BETWEEN = 0.25  # seconds between pictures
_PATIENCE = 10.0  # seconds without a picture after which a viewer is answered that none comes
_GOOD, _OTHER = (90, 190, 60), (40, 160, 240)  # BGR, of boxes


class Watcher(Protocol):
    """Whoever watches."""

    def reply(self, answer: dict[str, Any], *, last: bool) -> None:
        """Pass on a picture, or the `last` answer."""
        ...

    @property
    def gone(self) -> bool:
        """Whether nobody waits any more."""
        ...


@dataclass(frozen=True)
class ShownFace:
    """A face in view. name: whom it is recognized as; why: why as nobody, where it is nobody."""

    track: int
    box: Box
    name: str | None
    liveness: str
    why: str | None


@dataclass
class _Viewer:
    watcher: Watcher
    until: float
    pictures: int = 0


class Viewers:
    """All who watch. One thread at a time; `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._viewers: list[_Viewer] = []
        self._shown = -_BETWEEN
        self.encoded = 0  # pictures, ever

    @property
    def waiting(self) -> bool:
        """Whether anybody wants a picture now."""
        return bool(self._viewers) and self._clock() - self._shown >= _BETWEEN

    def add(self, watcher: Watcher, seconds: float) -> None:
        """Show pictures to this one for so long. EdgeFaceError where too many watch."""
        if len(self._viewers) >= MOST:
            raise EdgeFaceError(f"{MOST} watch already; close another page that shows the picture")
        if not self._viewers:
            self._shown = self._clock() - _BETWEEN
        self._viewers.append(_Viewer(watcher, self._clock() + seconds))

    def show(self, picture: Picture, faces: list[ShownFace]) -> None:
        """Show a frame, uint8 BGR of shape (H, W, 3), to everybody; call it where `waiting`."""
        self._shown = self._clock()
        self.encoded += 1
        answer = {"progress": _drawn(picture, faces)}
        for viewer in self._viewers:
            viewer.pictures += 1
            viewer.watcher.reply(answer, last=False)

    def work(self) -> None:
        """Answer those whose time is over, and forget those who have left."""
        now = self._clock()
        self._viewers = [viewer for viewer in self._viewers if not self._over(viewer, now)]

    def _over(self, viewer: _Viewer, now: float) -> bool:
        if viewer.watcher.gone:
            return True
        if now >= viewer.until:
            viewer.watcher.reply({"pictures": viewer.pictures}, last=True)
            return True
        if now - self._shown >= _PATIENCE:
            sentence = "no picture comes from the camera; see: edgeface status"
            viewer.watcher.reply({"error": sentence}, last=True)
            return True
        return False

    def close(self, sentence: str) -> None:
        """Answer everybody that it ends, and why."""
        for viewer in self._viewers:
            viewer.watcher.reply({"error": sentence}, last=True)
        self._viewers = []


def _drawn(picture: Picture, faces: list[ShownFace]) -> dict[str, Any]:
    """A frame for viewers: `picture`, a JPEG with a numbered box for each face, and the `faces`,
    their widths in the frame's own pixels."""
    height, width = picture.shape[:2]
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    for face in faces:
        left, top = round(face.box.x * scale), round(face.box.y * scale)
        right = round((face.box.x + face.box.width) * scale)
        bottom = round((face.box.y + face.box.height) * scale)
        colour = _GOOD if face.name is not None else _OTHER
        cv2.rectangle(small, (left, top), (right, bottom), colour, 2)
        place = (max(0, left), max(14, top - 5))
        cv2.putText(small, str(face.track), place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 2)
    return {
        "picture": cv2.imencode(".jpg", small, _JPEG)[1].tobytes(),
        "faces": [
            {
                "track": face.track,
                "name": face.name,
                "width": round(face.box.width),
                "liveness": face.liveness,
                "why": face.why,
            }
            for face in faces
        ],
    }
