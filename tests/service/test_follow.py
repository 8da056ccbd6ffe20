"""edgeface.watch: a source from Python as the service sees it, and what it reports but once."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

import edgeface
from edgeface.demo.liveness import framed
from edgeface.gallery.names import person_name
from edgeface.gallery.rules import Rules
from edgeface.gallery.rules_file import change_rules
from edgeface.pipeline.detect import Detector
from edgeface.pipeline.pictures import Picture, read_picture
from tests.helpers.service import PORTRAITS, portrait_video

GREY = np.full((480, 640, 3), 90, np.uint8)


def scene(name: str, dx: int = 0) -> Picture:
    """A portrait hanging on a wall, `dx` pixels to the right of the middle, 640 x 480."""
    frame, _ = framed(read_picture(PORTRAITS / f"{name}.jpg"), Detector(1))
    return np.roll(frame, dx, axis=1) if dx else frame


def video(path: Path, *pictures: Picture, fps: float = 5.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (640, 480))
    noise = np.random.default_rng(1)
    for picture in pictures:
        grain = noise.integers(-3, 4, picture.shape)
        writer.write(np.clip(picture.astype(np.int16) + grain, 0, 255).astype(np.uint8))
    writer.release()
    return path


def settings(folder: Path, text: str) -> Path:
    file = folder / "settings.toml"
    file.write_text(text)
    return file


def told(source: Path, file: Path, folder: Path) -> list[tuple[str, float]]:
    """Each event of a video with the time of its frame."""
    with edgeface.watch(source, gallery=folder / "none.safetensors", settings=file) as moments:
        return [(event.type, moment.time) for moment in moments for event in moment.events]


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    path = tmp_path / "gallery.safetensors"
    edgeface.FaceVerifier(path).enroll("barack", [PORTRAITS / "obama.jpg"], force=True)
    return path


def test_a_source_is_followed_face_by_face(tmp_path: Path, gallery: Path) -> None:
    source = portrait_video(tmp_path / "v.avi", "obama2", "biden", frames=14)
    moments = list(edgeface.watch(source, gallery=gallery))
    assert len(moments) >= 14
    assert all(moment.picture is not None for moment in moments[:14])
    events = [event for moment in moments for event in moment.events]
    assert sorted((event.type, event.name) for event in events) == [
        ("recognized", "barack"),
        ("unknown", None),
    ]
    last = moments[13]
    assert sorted(face.name or "" for face in last.faces) == ["", "barack"]
    assert {face.liveness for face in last.faces} == {"not judged"}


def test_a_picture_before_a_camera_is_nobody_alive(tmp_path: Path, gallery: Path) -> None:
    source = video(tmp_path / "v.avi", *[scene("obama2")] * 20, fps=10)
    moments = list(edgeface.watch(source, gallery=gallery, profile="standard"))
    assert not [e for m in moments for e in m.events if e.type == "recognized"]
    assert {face.name for moment in moments for face in moment.faces} == {None}
    assert moments[-1].faces == () or moments[-1].faces[0].liveness != "live"


def test_the_rules_of_a_person_hold_from_python_too(tmp_path: Path, gallery: Path) -> None:
    change_rules(gallery, person_name("barack"), Rules(outputs=("gpio",)))
    source = portrait_video(tmp_path / "v.avi", "obama2", frames=10)
    events = [e for m in edgeface.watch(source, gallery=gallery) for e in m.events]
    assert [(event.type, event.name) for event in events] == [("not_permitted", "barack")]


def test_what_cannot_be_watched_is_said_by_the_call(tmp_path: Path) -> None:
    with pytest.raises(edgeface.ConfigError, match="there is no source"):
        edgeface.watch(tmp_path / "none.avi", gallery=tmp_path / "g.safetensors")
    with pytest.raises(edgeface.ConfigError, match="profile must be one of"):
        edgeface.watch("0", profile="high", gallery=tmp_path / "g.safetensors")


def test_a_source_that_is_not_followed_to_its_end_is_closed(tmp_path: Path, gallery: Path) -> None:
    source = portrait_video(tmp_path / "v.avi", "obama2", frames=10)
    file = settings(tmp_path, '[source]\npace = "own"\nloop = true\n')
    before = threading.active_count()
    with edgeface.watch(source, gallery=gallery, settings=file) as moments:
        assert next(moments).source == source.name
    assert list(moments) == []
    edgeface.watch(source, gallery=gallery, settings=file).close()  # never asked for a frame
    assert threading.active_count() == before


QUICK = '[recognition]\ncooldown = "1 s"\nagree = 2\nof = 3\nsmallest_face = 150\n'


def test_a_stranger_s_portrait_on_the_wall_is_reported_once(tmp_path: Path) -> None:
    poster, file = scene("biden"), settings(tmp_path, QUICK)
    source = video(tmp_path / "v.avi", *[poster] * 24)  # five seconds
    assert [kind for kind, _ in told(source, file, tmp_path)] == ["unknown"]


def test_a_portrait_that_is_hidden_for_a_while_is_not_reported_again(tmp_path: Path) -> None:
    poster, file = scene("biden"), settings(tmp_path, QUICK)
    shown, hidden = [poster] * 8, [GREY] * 15  # the track ends in between
    source = video(tmp_path / "v.avi", *shown, *hidden, *shown, *hidden, *shown)
    assert [kind for kind, _ in told(source, file, tmp_path)] == ["unknown"]


def test_a_stranger_who_moves_or_another_one_is_reported(tmp_path: Path) -> None:
    file = settings(tmp_path, QUICK)
    at_first, moved, other = scene("biden"), scene("biden", 200), scene("collins")
    source = video(tmp_path / "v.avi", *[at_first] * 8, *[moved] * 8, *[GREY] * 15, *[other] * 8)
    assert [kind for kind, _ in told(source, file, tmp_path)] == ["unknown"] * 3


def test_a_stranger_who_comes_back_later_is_reported_again(tmp_path: Path) -> None:
    stands, file = scene("biden"), settings(tmp_path, QUICK)
    source = video(tmp_path / "v.avi", *[stands] * 8, *[GREY] * 60, *[stands] * 8)  # 12 s away
    assert [kind for kind, _ in told(source, file, tmp_path)] == ["unknown"] * 2


def test_what_hangs_in_an_ignored_area_is_not_seen(tmp_path: Path) -> None:
    both = np.hstack([scene("biden")[:, 120:520], scene("collins")[:, 120:520]])
    small = cv2.resize(both, (640, 384)).astype(np.uint8)
    frame = np.vstack([small, np.full((96, 640, 3), 90, np.uint8)])
    source = video(tmp_path / "v.avi", *[frame] * 12)
    file = settings(tmp_path, "[source]\nignore = [[0.5, 0.0, 0.5, 1.0]]\n")
    with edgeface.watch(source, gallery=tmp_path / "none.safetensors", settings=file) as moments:
        seen = list(moments)
    boxes = [event.box for moment in seen for event in moment.events]
    assert len(boxes) == 1 and boxes[0] is not None and boxes[0][0] + boxes[0][2] / 2 < 320
    painted = seen[0].picture
    assert painted is not None and np.ptp(painted[:, 340:], axis=(0, 1)).max() < 20


@pytest.mark.parametrize(
    "area", ["[0.5, 0.0, 0.6, 1.0]", "[0, 0, 0, 1]", "[0, 0, 1, 1]", "[0.0, nan, 0.1, 0.1]"]
)
def test_an_area_that_cannot_be_meant_is_refused(tmp_path: Path, area: str) -> None:
    file = settings(tmp_path, f"[source]\nignore = [{area}]\n")
    with pytest.raises(edgeface.ConfigError, match="source: ignore must be a list of areas"):
        edgeface.watch("0", settings=file, gallery=tmp_path / "g.safetensors")
