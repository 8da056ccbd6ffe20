"""Align: cuts a face out of its frame, upright and at the scale that the network was made for.

Takes in a frame and a `Face`, hands on a square crop (uint8, the frame's own colour order). The
landmarks that the model wants, three of the detector or five of the face mesh, are brought to its
template by one similarity transform, in one warp from the frame: nothing is cropped or resized
twice. It never judges the face.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.detect import Face
from edgeface.pipeline.geometry import similarity
from edgeface.pipeline.mesh import FaceMesh, five_points
from edgeface.pipeline.model_file import AlignmentSpec
from edgeface.pipeline.pictures import Picture

_Seen = tuple[weakref.ref[Picture], Face, NDArray[np.float64]]


class Aligner:
    """Cuts crops for one model; reuses one buffer, so a crop lasts until the next `align`."""

    def __init__(
        self, spec: AlignmentSpec, size: int, mesh: Callable[[], FaceMesh] = FaceMesh
    ) -> None:
        """`mesh` gives the face mesh network, asked for only by a model that needs it."""
        # Template fractions are of the picture's side; pixel centres sit at half-integers there.
        self._target = np.array(spec.places) * size - 0.5
        self._of_mesh, self._open_mesh = spec.of_mesh, mesh
        self._mesh: FaceMesh | None = None
        self._seen: _Seen | None = None  # a face is often aligned twice: for its quality, too
        self._crop: Picture = np.empty((size, size, 3), np.uint8)

    def matrix(self, frame: Picture, face: Face) -> NDArray[np.float64]:
        """The transform from frame to crop, shape (2, 3)."""
        return similarity(self._landmarks(frame, face) - 0.5, self._target)

    def align(self, frame: Picture, face: Face) -> Picture:
        """The crop, shape (size, size, 3); outside of the frame is black."""
        height, width = self._crop.shape[:2]
        matrix = self.matrix(frame, face)
        crop: Picture = cv2.warpAffine(  # type: ignore[assignment]
            frame, matrix, (width, height), dst=self._crop, flags=cv2.INTER_LINEAR
        )
        return crop

    def _landmarks(self, frame: Picture, face: Face) -> NDArray[np.float64]:
        """The model's landmarks in the frame's pixels, shape (3, 2) or (5, 2)."""
        if not self._of_mesh:
            return np.array([face.right_eye, face.left_eye, face.mouth])
        if self._seen is not None and self._seen[0]() is frame and self._seen[1] is face:
            return self._seen[2]
        if self._mesh is None:
            self._mesh = self._open_mesh()
        mesh = self._mesh.fit(frame, face.box, face.right_eye, face.left_eye)
        self._seen = (weakref.ref(frame), face, five_points(mesh))
        return self._seen[2]
