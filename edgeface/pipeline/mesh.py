"""Mesh: fits 468 points to a face, with the probability that there is one.

Takes in a frame and where a face is thought to be, hands on a `Mesh`. It neither detects nor
recognizes.

Network: MediaPipe Face Mesh (Kartynnik et al. 2019, "Real-time Facial Surface Geometry from
Monocular Video on Mobile GPUs"): 192 x 192 RGB in [0, 1], the face upright and its box filling two
thirds; 468 points in input pixels, and a logit that it is a face.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.geometry import Box, Point, apply, inverse
from edgeface.pipeline.model_file import shipped_network
from edgeface.pipeline.pictures import Picture
from edgeface.pipeline.runtime import open_network

NETWORK_FILE = "face-mesh.tflite"
NETWORK_SHA256 = "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493"

_INPUT = 192
_BOX_SHARE = 1.5  # the crop's side over the box's, as MediaPipe crops


# Of the 468 points: the corners of each eye, the nose's tip, the corners of the mouth.
_RIGHT_EYE, _LEFT_EYE, _NOSE, _RIGHT_CORNER, _LEFT_CORNER = (33, 133), (362, 263), 1, 61, 291


@dataclass(frozen=True)
class Mesh:
    """points: float64, shape (468, 2), in frame pixels; depth: float64, shape (468,), in the same
    unit, smaller is nearer; presence: the probability that there is a face, 0 to 1."""

    points: NDArray[np.float64]
    depth: NDArray[np.float64]
    presence: float


def five_points(mesh: Mesh) -> NDArray[np.float64]:
    """Right eye, left eye, tip of the nose, right and left corner of the mouth, shape (5, 2); right
    and left are the person's own."""
    eyes = [mesh.points[list(corners)].mean(axis=0) for corners in (_RIGHT_EYE, _LEFT_EYE)]
    return np.array([*eyes, *mesh.points[[_NOSE, _RIGHT_CORNER, _LEFT_CORNER]]])


class FaceMesh:
    """An open face mesh network with its buffers. One thread at a time."""

    def __init__(self, threads: int | None = None) -> None:
        self._network = open_network(shipped_network(NETWORK_FILE, NETWORK_SHA256), threads)
        sizes = [math.prod(output.shape) for output in self._network.outputs]
        self._points_at, self._presence_at = sizes.index(468 * 3), sizes.index(1)
        self._crop: Picture = np.empty((_INPUT, _INPUT, 3), np.uint8)

    def fit(self, frame: Picture, box: Box, right_eye: Point, left_eye: Point) -> Mesh:
        """The mesh of the face in `box`, turned upright by its eyes, all in frame pixels."""
        matrix = _upright(box, math.atan2(left_eye.y - right_eye.y, left_eye.x - right_eye.x))
        cv2.warpAffine(frame, matrix, (_INPUT, _INPUT), dst=self._crop, flags=cv2.INTER_LINEAR)
        cv2.cvtColor(self._crop, cv2.COLOR_BGR2RGB, dst=self._crop)
        np.multiply(self._crop, np.float32(1 / 255), out=self._network.input_view()[0])
        self._network.run()
        points = self._network.output_view(self._points_at).reshape(468, 3).astype(np.float64)
        logit = float(self._network.output_view(self._presence_at).ravel()[0])
        scale = box.width * _BOX_SHARE / _INPUT
        return Mesh(
            apply(inverse(matrix), points[:, :2] - 0.5) + 0.5,
            points[:, 2] * scale,
            1 / (1 + math.exp(-max(-60.0, logit))),
        )


def _upright(box: Box, angle: float) -> NDArray[np.float64]:
    """The transform from pixel indices (hence the halves) of the frame to the crop's, (2, 3)."""
    scale = _INPUT / (box.width * _BOX_SHARE)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[cosine, sine], [-sine, cosine]])
    middle = np.array(box.centre) - 0.5
    return np.column_stack((linear, _INPUT / 2 - 0.5 - linear @ middle))
