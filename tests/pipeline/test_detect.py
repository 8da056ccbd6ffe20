"""Detect: the faces that are there, where they are, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edgeface.pipeline.detect import Detector
from edgeface.pipeline.geometry import Box, Point

Portrait = Callable[[str], np.ndarray]

# Measured in the pictures by hand, to within the size of an iris.
EYES = {
    "obama": (Point(442, 213), Point(546, 212)),
    "collins": (Point(203, 101), Point(246, 104)),
}


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


@pytest.mark.parametrize("name", ["obama", "obama2", "obama3", "biden", "collins"])
def test_each_portrait_holds_one_face(detector: Detector, portrait: Portrait, name: str) -> None:
    frame = portrait(name)
    faces = detector.detect(frame, max(frame.shape) / 32)
    assert len(faces) == 1
    face = faces[0]
    assert face.right_eye.x < face.nose.x < face.left_eye.x
    assert face.nose.y < face.mouth.y


@pytest.mark.parametrize("name", EYES)
def test_the_eyes_are_where_a_person_sees_them(
    detector: Detector, portrait: Portrait, name: str
) -> None:
    (face,) = detector.detect(portrait(name), 40)
    tolerance = 0.06 * face.box.width
    for found, seen in zip((face.right_eye, face.left_eye), EYES[name], strict=True):
        assert math.dist(found, seen) < tolerance


def test_nothing_is_found_in_a_picture_of_nobody(detector: Detector) -> None:
    random = np.random.default_rng(7)
    grey = np.full((480, 640, 3), 128, np.uint8)
    noise = random.integers(0, 255, (480, 640, 3), np.uint8)
    ramp = np.broadcast_to(np.linspace(0, 255, 640).astype(np.uint8)[:, None], (480, 640, 3)).copy()
    assert [detector.detect(frame, 40) for frame in (grey, noise, ramp)] == [[], [], []]


@pytest.mark.parametrize(("width", "place"), [(48, (900, 300)), (90, (80, 700)), (300, (500, 100))])
def test_a_face_of_any_size_is_found_in_a_wide_frame(
    detector: Detector, portrait: Portrait, width: int, place: tuple[int, int]
) -> None:
    picture = portrait("collins")
    factor = width / 102  # the face in the portrait is 102 pixels wide
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    frame = np.full((1080, 1920, 3), 90, np.uint8)
    x, y = place
    small = small[: 1080 - y, : 1920 - x]
    frame[y : y + small.shape[0], x : x + small.shape[1]] = small
    faces = detector.detect(frame, 40)
    assert len(faces) == 1
    assert faces[0].box.width == pytest.approx(width, rel=0.15)
    eye = Point(x + 203 * factor, y + 101 * factor)
    assert math.dist(faces[0].right_eye, eye) < 0.1 * width


def test_two_people_are_two_faces_the_larger_first(detector: Detector, portrait: Portrait) -> None:
    obama = cv2.resize(portrait("obama"), (455, 568), interpolation=cv2.INTER_AREA)
    collins = cv2.resize(portrait("collins"), (568, 568), interpolation=cv2.INTER_AREA)
    faces = detector.detect(np.hstack((collins, obama)), 40)
    assert len(faces) == 2
    assert faces[0].box.x > 568 > faces[1].box.x
    assert faces[0].box.width > faces[1].box.width


def test_the_search_by_size_can_stop_at_the_first_face(
    detector: Detector, portrait: Portrait
) -> None:
    frame = portrait("collins")
    tiny = cv2.resize(frame, (128, 128), interpolation=cv2.INTER_AREA)
    both = np.full((512, 1024, 3), 90, np.uint8)
    both[:, :512] = frame
    both[:128, 700:828] = tiny
    assert len(detector.detect(both, 20)) == 2
    assert len(detector.detect(both, 20, first_found=True)) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (7, 5)])
def test_a_sliver_of_a_picture_holds_no_face(detector: Detector, shape: tuple[int, int]) -> None:
    assert detector.detect(np.full((*shape, 3), 200, np.uint8), 40) == []


def test_box_centre() -> None:
    assert Box(10, 20, 30, 40).centre == Point(25, 40)
