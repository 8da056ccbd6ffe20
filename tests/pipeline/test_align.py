"""Align: whatever the pose in the frame, the crop's eyes are where the network expects them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edgeface.pipeline.align import Aligner
from edgeface.pipeline.detect import Detector
from edgeface.pipeline.geometry import Point, apply
from edgeface.pipeline.mesh import five_points
from edgeface.pipeline.model_file import AlignmentSpec
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
    matrix = pipeline._aligner.matrix(frame, face)
    mapped = apply(matrix, np.array([face.right_eye, face.left_eye]) - 0.5)
    assert abs(mapped[0, 1] - mapped[1, 1]) < 3
    assert Point(*mapped[0]).x < Point(*mapped[1]).x


FIVE = AlignmentSpec(
    right_eye=(0.34, 0.46),
    left_eye=(0.66, 0.46),
    nose=(0.5, 0.64),
    right_corner=(0.37, 0.82),
    left_corner=(0.63, 0.82),
)


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1), (20, 0.8), (-25, 0.9)])
def test_five_points_of_the_mesh_are_on_the_template(
    pipeline: FacePipeline, portrait: Portrait, degrees: float, scale: float
) -> None:
    frame = turned(portrait("obama"), degrees, scale)
    face = pipeline.main_face(frame)
    aligner = Aligner(FIVE, 112, lambda: pipeline.mesh)
    mesh = pipeline.mesh.fit(frame, face.box, face.right_eye, face.left_eye)
    mapped = apply(aligner.matrix(frame, face), five_points(mesh) - 0.5) + 0.5
    assert np.abs(mapped - np.array(FIVE.places) * 112).max() < 0.07 * 112  # he smiles
    assert aligner.align(frame, face).shape == (112, 112, 3)


def test_a_face_is_aligned_in_the_frame_that_is_given(
    pipeline: FacePipeline, portrait: Portrait
) -> None:
    frame = portrait("obama")
    face = pipeline.main_face(frame)
    aligner = Aligner(FIVE, 112, lambda: pipeline.mesh)
    first = aligner.align(frame, face).copy()
    assert (aligner.align(frame, face) == first).all()
    assert (aligner.align(np.zeros_like(frame), face) == 0).all()


@pytest.mark.parametrize(
    "places",
    [
        {},
        {"mouth": (0.5, 0.8), "nose": (0.5, 0.6)},
        {"nose": (0.5, 0.6), "right_corner": (0.4, 0.8)},
    ],
)
def test_an_alignment_of_other_points_is_no_description(
    places: dict[str, tuple[float, float]],
) -> None:
    with pytest.raises(ValueError, match="needs the mouth, or the nose and both corners"):
        AlignmentSpec(right_eye=(0.3, 0.4), left_eye=(0.7, 0.4), **places)
