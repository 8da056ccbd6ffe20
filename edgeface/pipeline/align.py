"""Align: cuts a face out of its frame, upright and at the scale that the network was made for.

Takes in a frame and a `Face`, hands on a square crop (uint8, the frame's own colour order). Eyes
and mouth centre are brought to the model's template by one similarity transform, in one warp from
the frame: nothing is cropped or resized twice. It never judges the face.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.detect import Face
from edgeface.pipeline.geometry import similarity
from edgeface.pipeline.model_file import AlignmentSpec
from edgeface.pipeline.pictures import Picture


class Aligner:
    """Cuts crops for one model; reuses one buffer, so a crop lasts until the next `align`."""

    def __init__(self, spec: AlignmentSpec, size: int) -> None:
        # Template fractions are of the picture's side; pixel centres sit at half-integers there.
        self._target = np.array([spec.right_eye, spec.left_eye, spec.mouth]) * size - 0.5
        self._crop: Picture = np.empty((size, size, 3), np.uint8)

    def matrix(self, face: Face) -> NDArray[np.float64]:
        """The transform from frame to crop, shape (2, 3)."""
        return similarity(np.array([face.right_eye, face.left_eye, face.mouth]) - 0.5, self._target)

    def align(self, frame: Picture, face: Face) -> Picture:
        """The crop, shape (size, size, 3); outside of the frame is black."""
        height, width = self._crop.shape[:2]
        crop: Picture = cv2.warpAffine(  # type: ignore[assignment]
            frame, self.matrix(face), (width, height), dst=self._crop, flags=cv2.INTER_LINEAR
        )
        return crop
