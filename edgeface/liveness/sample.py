"""Sample: what liveness needs of a face from one frame.

Takes in a frame and a detected face, hands on a `Sample`: the mesh, the face in grey at a fixed
size and place, and its middle in the frame's own pixels. It judges nothing and keeps no
colour picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.detect import Face
from edgeface.pipeline.geometry import apply, similarity
from edgeface.pipeline.mesh import FaceMesh
from edgeface.pipeline.pictures import Picture

WIDTH, HEIGHT = 128, 144
UNIT = 66.0  # pixels of the crop between the outer corners of the eyes
_MIDDLE = np.array((64.0, 46.0))  # where the middle between the eyes goes

# Points of the mesh that expression hardly moves, where they are in a frontal face: the mean over
# 200 pictures, made symmetric, in units of the distance between the eyes' outer corners.
_ANCHORS = np.array((33, 263, 133, 362, 168, 10, 234, 454, 127, 356))
_PLACES = np.array(
    (
        (-0.5, 0.0),
        (0.5, 0.0),
        (-0.19, 0.018),
        (0.19, 0.018),
        (0.0, -0.047),
        (0.0, -0.56),
        (-0.77, 0.205),
        (0.77, 0.205),
        (-0.775, 0.05),
        (0.775, 0.05),
    )
)


_PRESENT = 0.5  # presence below which the mesh cannot be trusted
_OUTSIDE = 0.02  # of the face's height: a face that reaches further over the edge is cut off


@dataclass(frozen=True)
class Sample:
    """A face in one frame.

    time: seconds; points: float32, shape (468, 2), in pixels of `crop`; depth: float32, shape
    (468,), same unit, smaller is nearer; presence: 0 to 1; crop: uint8, shape (144, 128), the face
    in grey, its eyes at fixed places; scale: crop pixels per frame pixel; place: the face's middle
    in frame pixels; grain: uint8, shape (96, 96), grey, the middle of the face in the frame's own
    pixels.
    """

    time: float
    points: NDArray[np.float32]
    depth: NDArray[np.float32]
    presence: float
    crop: NDArray[np.uint8]
    scale: float
    place: tuple[float, float]
    grain: NDArray[np.uint8]


class Sampler:
    """An open mesh network. One thread at a time."""

    def __init__(self, mesh: FaceMesh | None = None) -> None:
        self._mesh = mesh or FaceMesh(1)

    def sample(self, time: float, frame: Picture, face: Face) -> Sample | None:
        """Sample `face` in `frame` (uint8 BGR); None where the mesh finds no face."""
        mesh = self._mesh.fit(frame, face.box, face.right_eye, face.left_eye)
        if mesh.presence < _PRESENT or _cut_off(mesh.points, frame):
            return None
        matrix = similarity(mesh.points[_ANCHORS] - 0.5, _PLACES * UNIT + _MIDDLE)
        scale = float(np.hypot(matrix[0, 0], matrix[0, 1]))
        return Sample(
            time,
            apply(matrix, mesh.points - 0.5).astype(np.float32),
            (mesh.depth * scale).astype(np.float32),
            mesh.presence,
            _crop(frame, matrix, scale),
            scale,
            (float(mesh.points[:, 0].mean()), float(mesh.points[:, 1].mean())),
            _grain(frame, mesh.points[4]),
        )


def _cut_off(points: NDArray[np.float64], frame: Picture) -> bool:
    """Whether part of the face lies outside the frame, where nothing can be compared."""
    low, high = points.min(axis=0), points.max(axis=0)
    slack = _OUTSIDE * float(high[1] - low[1])
    height, width = frame.shape[:2]
    return bool((low < -slack).any() or (high > np.array((width, height)) + slack).any())


def _crop(frame: Picture, matrix: NDArray[np.float64], scale: float) -> NDArray[np.uint8]:
    """The face in grey. A face much larger than the crop is halved first, so nothing aliases."""
    shrink = 1
    while scale * shrink < 0.6 and shrink < 8:
        shrink *= 2
    if shrink > 1:
        low = np.linalg.inv(np.vstack((matrix, (0, 0, 1)))) @ np.array(
            ((0, WIDTH, 0, WIDTH), (0, 0, HEIGHT, HEIGHT), (1, 1, 1, 1.0))
        )
        x0, y0 = (max(0, int(low[axis].min()) - 2) for axis in (0, 1))
        x1, y1 = int(low[0].max()) + 3, int(low[1].max()) + 3
        part = frame[y0:y1, x0:x1]
        if min(part.shape[:2]) >= 2 * shrink:
            part = part[: part.shape[0] // shrink * shrink, : part.shape[1] // shrink * shrink]
            size = (part.shape[1] // shrink, part.shape[0] // shrink)
            frame = cv2.resize(part, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
            # Full pixel index = shrink * small + (shrink - 1) / 2 + corner.
            corner = np.array((x0, y0)) + (shrink - 1) / 2
            matrix = np.column_stack(
                (matrix[:, :2] * shrink, matrix[:, 2] + matrix[:, :2] @ corner)
            )
    crop = cv2.warpAffine(frame, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.uint8)


def _grain(frame: Picture, middle: NDArray[np.float64]) -> NDArray[np.uint8]:
    centre = (float(middle[0]), float(middle[1]))
    return np.asarray(cv2.cvtColor(cv2.getRectSubPix(frame, (96, 96), centre), cv2.COLOR_BGR2GRAY))
