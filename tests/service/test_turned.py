"""A camera that was mounted upside down or sideways is noticed, with the setting that helps."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from msgspec import structs

from edgeface.pipeline.detect import Detector
from edgeface.pipeline.pictures import Picture
from edgeface.service.turned import Turned
from edgeface.sources import Frame, SourceSettings
from edgeface.sources.base import upright
from tests.conftest import PORTRAITS, CommandLine
from tests.helpers.images import read_image

SIDE = 480


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def scene(name: str = "obama", shift: int = 0) -> Picture:
    """A face as the door's camera should show it; square, so that it is searched fast."""
    portrait = read_image(PORTRAITS / f"{name}.jpg")
    face = cv2.resize(portrait[: portrait.shape[1]], (SIDE, SIDE))
    return np.roll(face, shift, axis=1)


def mounted(picture: Picture, turn: int) -> Picture:
    """What a camera that is turned by so many degrees sends of it."""
    return np.ascontiguousarray(np.rot90(picture, turn // 90))


@pytest.mark.parametrize(
    ("turn", "present", "mirror", "advice"),
    [(180, 0, False, 180), (90, 0, False, 90), (270, 0, False, 270), (0, 180, False, 0),
     (90, 0, True, 90), (90, 180, True, 90)],
)  # fmt: skip
def test_the_rotation_that_is_advised_makes_the_picture_upright(
    turn: int,
    present: Literal[0, 180],
    mirror: bool,
    advice: Literal[0, 90, 180, 270],
    detector: Detector,
) -> None:
    settings = SourceSettings(spec="0", rotation=present, mirror=mirror)
    sent = mounted(scene(), turn)
    turned = Turned(detector, settings)
    picture = upright(sent, settings)
    said = [turned.see(Frame(picture, float(second))) for second in range(20)]
    assert turned.advice == advice
    sentences = [sentence for sentence in said if sentence]
    assert len(sentences) == 1
    assert f"set rotation = {advice} in [source]" in sentences[0]
    assert ("upside down" in sentences[0]) == (turn in (0, 180))
    helped = upright(sent, structs.replace(settings, rotation=advice))
    assert np.array_equal(helped, cv2.flip(scene(), 1) if mirror else scene())


def test_one_upright_face_is_enough_for_silence(detector: Detector) -> None:
    turned = Turned(detector, SourceSettings(spec="0"))
    fallen = mounted(scene(), 90)
    shown = [fallen, fallen, scene(), fallen, fallen, scene()] * 2
    assert [turned.see(Frame(one, 3.0 * at)) for at, one in enumerate(shown)] == [None] * 12
    assert turned.advice is None


def test_a_camera_that_was_turned_is_right_again(detector: Detector) -> None:
    turned = Turned(detector, SourceSettings(spec="0"))
    shown = [mounted(scene(), 180)] * 3 + [scene()] * 3
    said = [turned.see(Frame(one, 3.0 * at)) for at, one in enumerate(shown)]
    assert [sentence is not None for sentence in said] == [False, False, True, False, False, False]
    assert turned.advice is None


def test_the_service_says_it_once(edgeface: CommandLine, tmp_path: Path) -> None:
    video = str(tmp_path / "v.avi")
    writer = cv2.VideoWriter(video, cv2.VideoWriter.fourcc(*"MJPG"), 1, (SIDE, SIDE))
    for second in range(14):
        writer.write(mounted(scene(shift=40 * (second % 2)), 180))
    writer.release()
    done = edgeface("run", "--source", video)
    assert done.status == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "rotation" in line]
    assert said == [
        "WARNING v.avi shows faces upside down; set rotation = 180 in [source], or turn the camera"
    ]


def test_doctor_names_the_rotation(edgeface: CommandLine, tmp_path: Path) -> None:
    for turn in (0, 270):
        cv2.imwrite(str(tmp_path / f"{turn}.png"), mounted(scene(), turn))
    done = edgeface("doctor", "--json", "--source", tmp_path / "270.png")
    assert done.status == 1
    check = next(check for check in done.json["checks"] if check["name"] == "camera")
    assert not check["ok"]
    assert "shows faces sideways" in check["detail"]
    assert check["advice"].startswith("set rotation = 270 in [source]")
    done = edgeface("doctor", "--json", "--source", tmp_path / "0.png")
    assert next(check for check in done.json["checks"] if check["name"] == "camera")["ok"]
