"""Animate: makes a portrait speak, or moves it like a print held to the camera.

Takes in a picture of a face, hands on the frame at a given time: `speaking` opens the mouth and
turns the head in space as a living one does, `held` moves the picture as a hand does. The demo and
the tests use it, since no film of a living person ships with the package. Shown on a screen, such
an animation would be a video replay, which the challenge is there to stop.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.detect import Face
from edgeface.pipeline.mesh import FaceMesh
from edgeface.pipeline.pictures import Picture

_UPPER_LIP, _LOWER_LIP, _CHIN, _CORNERS = 13, 14, 152, (61, 291)
_MOUTH = (38, 26, 44)  # of the inside of a mouth, BGR
_WORD = 0.8  # seconds from one opening of the mouth to the next
_TURN, _TURNING = 0.16, 2.6  # how far the head turns, in radians, and how fast, radians a second
_NODES = 24  # of the grid on which the depth is known, along each side of the face


class Animated:
    """A portrait that can be animated."""

    def __init__(self, frame: Picture, face: Face, mesh: FaceMesh | None = None) -> None:
        self._frame = frame
        fitted = (mesh or FaceMesh(1)).fit(frame, face.box, face.right_eye, face.left_eye)
        points = fitted.points
        self._mouth = (points[_UPPER_LIP] + points[_LOWER_LIP]) / 2
        self._half = float(np.linalg.norm(points[_CORNERS[0]] - points[_CORNERS[1]])) / 2
        self._jaw = float(points[_CHIN][1] - self._mouth[1])
        height, width = frame.shape[:2]
        self._x, self._y = np.meshgrid(
            np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        )
        self._depth = _relief(points, fitted.depth, (width, height))

    def speaking(self, time: float) -> Picture:
        """The frame of the speaking face at `time` (seconds)."""
        opening = 0.75 * max(0.0, math.sin(2 * math.pi * time / _WORD)) ** 2
        turned = self.posed(_TURN * math.sin(_TURNING * time), 0.0, opening)
        return self._moved(turned, 3 * math.sin(2 * time), 0.0)

    def posed(self, yaw: float, pitch: float, opening: float) -> Picture:
        """The frame of the face turned by radians about its upright and its level axis, its mouth
        open by a share of the distance from the lips to the chin."""
        opening *= self._jaw
        across = (self._x - np.float32(self._mouth[0])) / np.float32(self._half)
        below = self._y - np.float32(self._mouth[1])
        share = np.clip(1 - across**2 / 3, 0, 1) ** 2
        fading = np.clip(1 - (below - opening) / (2.2 * self._jaw), 0, 1)
        shift = np.where(below > 0, opening * share * fading, 0).astype(np.float32)
        spoken = cv2.remap(self._frame, self._x, self._y - shift, cv2.INTER_LINEAR)
        gap = opening * np.clip(1 - across**2, 0, 1)
        spoken[(below > 0) & (below < gap)] = _MOUTH
        return self._turned(np.asarray(spoken, np.uint8), yaw, pitch)

    def held(self, time: float) -> Picture:
        """The frame of the portrait as a print in an unsteady hand at `time` (seconds)."""
        return self._moved(self._frame, 8 * math.sin(3 * time), 0.6 * math.sin(2.6 * time))

    def _turned(self, picture: Picture, yaw: float, pitch: float) -> Picture:
        """The head turned about both axes, in radians: what is nearer moves farther."""
        x = self._x + self._depth * np.float32(math.sin(yaw))
        y = self._y + self._depth * np.float32(math.sin(pitch))
        return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR), np.uint8)

    def _moved(self, picture: Picture, shift: float, tilt: float) -> Picture:
        """The whole picture shifted by pixels and turned about its vertical axis, in radians."""
        height, width = picture.shape[:2]
        middle = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
        far = 2.5 * width
        turn = np.array(
            [[math.cos(tilt) * far, 0, shift * far], [0, far, 0], [math.sin(tilt), 0, far]]
        )
        back = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
        matrix = back @ turn @ middle
        edge = cv2.BORDER_REPLICATE
        return np.asarray(
            cv2.warpPerspective(picture, matrix, (width, height), borderMode=edge), np.uint8
        )


def _relief(
    points: NDArray[np.float64], depth: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.float32]:
    """How far in front of the background each pixel is, (height, width), negative is nearer: the
    depth of the mesh over the face, falling off to nothing around it."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.25 * (high - low)
    low, high = low - margin, high + margin
    nodes = np.stack(np.meshgrid(*np.linspace(low, high, _NODES).T), axis=-1).reshape(-1, 2)
    reach = 0.06 * float(high[0] - low[0])
    near = np.exp(-((nodes[:, None] - points[None]) ** 2).sum(axis=2) / (2 * reach**2))
    total = near.sum(axis=1)
    relief = near @ (depth - depth.max()) / (total + 1e-9) * np.clip(total, 0, 1)
    coarse = relief.reshape(_NODES, _NODES).astype(np.float32)
    step = (high - low) / (_NODES - 1)
    place = np.array([[step[0], 0, low[0]], [0, step[1], low[1]]])
    wide = cv2.warpAffine(coarse, place, size, flags=cv2.INTER_LINEAR)
    return np.asarray(wide, np.float32)
