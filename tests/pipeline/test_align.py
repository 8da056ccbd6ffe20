"""Align: whatever the pose in the frame, the crop's eyes are where the network expects them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edgeface.pipeline.detect import Detector
from edgeface.pipeline.geometry import Point, apply
from edgeface.pipeline.pipeline import FacePipeline

Portrait = Callable[[str], np.ndarray]


def turned(frame: np.ndarray, degrees: float, scale: float) -> np.ndarray:
    height, width = frame.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 3), degrees, scale)
    return cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_AREA)


@pytest.mark.parametrize("name", ["obama", "collins", "biden"])
@pytest.mark.parametrize(("degrees", "scale"), [(0, 1), (20, 0.8), (-25, 0.9), (0, 0.6)])
def test_eyes_and_mouth_of_the_crop_are_on_the_template(
    pipeline: FacePipeline, portrait: Portrait, name: str, degrees: float, scale: float
) -> None:
    frame = turned(portrait(name), degrees, scale)
    face = pipeline.main_face(frame)
    crop = pipeline.crop(frame, face).copy()
    spec = pipeline.model.description.alignment
    size = pipeline.model.description.input.size
    # Detected again, in a margin so that the face does not fill the picture.
    margin = size // 2
    around = np.pad(crop, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    (seen,) = Detector().detect(around, first_found=True)
    for found, wanted in (
        (seen.right_eye, spec.right_eye),
        (seen.left_eye, spec.left_eye),
        (seen.mouth, spec.mouth),
    ):
        assert np.subtract(found, margin) == pytest.approx(np.array(wanted) * size, abs=0.06 * size)


def test_the_transform_is_upright_for_an_upright_face(
    pipeline: FacePipeline, portrait: Portrait
) -> None:
    frame = portrait("obama")
    face = pipeline.main_face(frame)
    matrix = pipeline._aligner.matrix(face)
    mapped = apply(matrix, np.array([face.right_eye, face.left_eye]) - 0.5)
    assert abs(mapped[0, 1] - mapped[1, 1]) < 3
    assert Point(*mapped[0]).x < Point(*mapped[1]).x
