"""Search: which parts of a video frame to run the detector on.

Takes in a frame and the tracks in view, hands on the faces found. Searching a large frame for small
faces takes a hundred runs, so they are spread: in each frame the detector sees the whole picture
once, the square around each face that this did not find, and the next few of the small squares. A
scene in which nothing moves and nobody is in view is searched once a second.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.detect import Face
from edgeface.pipeline.geometry import Box, overlap
from edgeface.pipeline.pipeline import FacePipeline
from edgeface.pipeline.squares import Square, around, levels
from edgeface.service.tracker import Track
from edgeface.sources import Frame

_ROUND = 12  # frames in which every small square is searched once
_MOST_SQUARES = 8  # small squares per frame at most
_CALM_PAUSE = 1.0  # seconds between searches of a scene where nothing moves
_MOTION = 8.0  # grey levels by which a part of the scene must change to count as moving
_THUMBNAIL = (32, 18)
_FOUND_AGAIN = 0.3  # overlap of a found face with where a track should be


class Search:
    """Remembers which squares come next and the average scene."""

    def __init__(self, pipeline: FacePipeline, smallest: float) -> None:
        self._pipeline = pipeline
        self._smallest = smallest
        self._size: tuple[int, int] | None = None
        self._whole: list[Square] = []
        self._small: list[Square] = []
        self._next = 0
        self._since_motion = 0  # small squares searched since something moved
        self._searched_at = -math.inf
        self._scene: NDArray[np.float32] | None = None

    @property
    def calm(self) -> bool:
        """Whether every square has been searched since anything moved."""
        return self._since_motion > len(self._small)

    def faces(self, frame: Frame, tracks: list[Track]) -> list[Face]:
        """The faces of the frame that were found this time, the largest first."""
        picture = frame.picture
        self._prepare(picture.shape[1], picture.shape[0])
        if tracks or self._moved(frame):
            self._since_motion = 0
        elif self.calm and frame.time - self._searched_at < _CALM_PAUSE:
            return []
        self._searched_at = frame.time
        count = min(_MOST_SQUARES, math.ceil(len(self._small) / _ROUND))
        turn = [self._small[(self._next + i) % len(self._small)] for i in range(count)]
        self._next += count
        self._since_motion += max(1, count)
        found = self._pipeline.detect_in(picture, self._whole)
        missing = [
            around(box)
            for box in (track.expected(frame.time) for track in tracks)
            if _inside(box, picture.shape) and not _among(box, found)
        ]
        if not missing and not turn:
            return found
        more = self._pipeline.detect_in(picture, [*missing, *turn])
        fresh = [face for face in more if not _among(face.box, found)]
        return sorted([*found, *fresh], key=lambda face: face.box.width, reverse=True)

    def _prepare(self, width: int, height: int) -> None:
        if self._size != (width, height):
            self._size = (width, height)
            self._whole, *smaller = levels(width, height, self._smallest)
            self._small = [square for level in smaller for square in level]
            self._next, self._scene = 0, None

    def _moved(self, frame: Frame) -> bool:
        scene = _thumbnail(frame)
        before = self._scene
        if before is None or float(np.abs(scene - before).max()) > _MOTION:
            self._scene = scene
            return True
        self._scene = before + (scene - before) * np.float32(0.05)  # daylight changes slowly
        return False


def _thumbnail(frame: Frame) -> NDArray[np.float32]:
    """The scene in 32 x 18 grey values; a sparse sample is enough, since it is averaged."""
    grey = frame.picture[..., 1] if frame.luma is None else frame.luma
    step = max(1, grey.shape[1] // 320)
    sample = np.ascontiguousarray(grey[::step, ::step])
    return cv2.resize(sample, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)


def _inside(box: Box, shape: tuple[int, ...]) -> bool:
    return 0 <= box.centre.x < shape[1] and 0 <= box.centre.y < shape[0]


def _among(box: Box, faces: list[Face]) -> bool:
    return any(overlap(box, face.box) > _FOUND_AGAIN for face in faces)
