"""Pictures, folders and videos on disk, read through the same interface as a camera."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from msgspec import structs

from edgeface.errors import ConfigError
from edgeface.sources import SourceEnded, SourceSettings, is_live, needs_network, open_source
from edgeface.sources.feed import open_feed
from tests.conftest import PORTRAITS, CommandLine
from tests.helpers.images import read_image
from tests.helpers.memory import measure
from tests.helpers.sources import numbered, write_video


def brightness(settings: SourceSettings, most: int = 100) -> list[int]:
    """The mean grey level of every frame until the end."""
    levels: list[int] = []
    with open_feed(settings) as feed:
        while len(levels) < most:
            try:
                frame = feed.next(1)
            except SourceEnded:
                break
            assert frame is not None
            levels.append(round(float(frame.picture.mean())))
    return levels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (3, 1, 2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), numbered(number * 50))
    return tmp_path


def test_a_folder_is_read_by_name_and_leaves_out_what_is_no_picture(folder: Path) -> None:
    (folder / "notes.txt").write_text("not a picture")
    assert brightness(SourceSettings(spec=str(folder))) == [50, 100, 150]


def test_a_folder_can_begin_again(folder: Path) -> None:
    assert brightness(SourceSettings(spec=str(folder), loop=True), 5) == [50, 100, 150, 50, 100]


def test_a_folder_without_pictures_is_an_error_even_when_it_loops(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a picture")
    with pytest.raises(ConfigError, match="holds no picture"):
        brightness(SourceSettings(spec=str(tmp_path), loop=True))


def test_pictures_are_scenes_of_their_own(folder: Path) -> None:
    frame = open_source(SourceSettings(spec=str(folder / "1.png"))).read()
    assert frame.still


def test_a_video_gives_every_frame_with_its_own_time(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.avi", 10, fps=20)
    source = open_source(SourceSettings(spec=str(video)))
    frames = [source.read() for _ in range(10)]
    assert [round(f.time, 3) for f in frames] == [round(i / 20, 3) for i in range(10)]
    assert [round(float(f.picture.mean()) / 10) for f in frames] == list(range(10))
    with pytest.raises(SourceEnded):
        source.read()
    source.close()


def test_a_looped_video_goes_on_in_time(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.avi", 4, fps=20)
    source = open_source(SourceSettings(spec=str(video), loop=True))
    times = [source.read().time for _ in range(10)]
    assert times == sorted(set(times))
    source.close()


@pytest.mark.parametrize(
    ("rotation", "mirror", "corner"),
    [(0, False, (0, 0)), (90, False, (0, -1)), (180, False, (-1, -1)), (270, False, (-1, 0)),
     (0, True, (0, -1)), (180, True, (-1, 0))],
)  # fmt: skip
def test_pictures_are_turned_upright_and_mirrored(
    tmp_path: Path, rotation: int, mirror: bool, corner: tuple[int, int]
) -> None:
    picture = numbered(0)
    picture[0, 0] = 255
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    settings = structs.replace(
        SourceSettings(spec=str(tmp_path / "p.png")), rotation=rotation, mirror=mirror
    )
    turned = open_source(settings).read().picture
    assert turned[corner].min() == 255
    assert turned.shape == ((96, 64, 3) if rotation in (90, 270) else (64, 96, 3))


def test_what_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no source"):
        open_source(SourceSettings(spec=str(tmp_path / "missing.mp4")))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0" * 1000)
    with pytest.raises(ConfigError, match="is no video"):
        open_source(SourceSettings(spec=str(broken)))


def test_live_sources_skip_and_files_do_not() -> None:
    assert all(
        is_live(SourceSettings(spec=s)) for s in ("picamera2", "0", "/dev/video0", "rtsp://door/1")
    )
    assert not is_live(SourceSettings(spec="walkers.mp4"))
    assert is_live(SourceSettings(spec="walkers.mp4", pace="own"))
    assert needs_network("RTSP://door/1")
    assert needs_network("rtmp://door/live/1")
    assert not needs_network("/dev/video0")


def test_a_video_of_huge_frames_is_refused_before_one_is_read(tmp_path: Path) -> None:
    path, side = tmp_path / "huge.avi", 9000
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (side, side))
    writer.write(np.zeros((side, side, 3), np.uint8))
    writer.release()
    done = measure("run", "--source", path, "--max-frames", "1")
    assert done.status == 2
    assert "frames of 9000x9000, more than 25 megapixels" in done.stderr
    assert done.peak_mb < 300


def test_the_service_needs_no_more_than_a_small_board_has(tmp_path: Path) -> None:
    """The largest picture that is read, in a folder that is watched."""
    portrait = read_image(PORTRAITS / "collins.jpg")
    for number in range(2):
        path = tmp_path / f"{number}.jpg"
        assert cv2.imwrite(str(path), cv2.resize(portrait, (4990, 4990)))
    done = measure("run", "--source", tmp_path, "--max-frames", "2")
    assert done.status == 0, done.stderr
    assert done.peak_mb < 300


def rotated(path: Path, degrees: int) -> Path:
    """A phone's video: an MP4 whose header says by how many degrees clockwise to turn it."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (96, 64))
    picture = numbered(0)
    picture[:32, :48] = 250
    for _ in range(3):
        writer.write(picture)
    writer.release()
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the matrix of the track's header, version 0
    a, b = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    width, height = (96 << 16, 64 << 16)
    x, y = {90: (height, 0), 180: (width, height), 270: (0, width)}[degrees]
    data[at : at + 36] = struct.pack(
        ">9i", a << 16, b << 16, 0, -b << 16, a << 16, 0, x, y, 1 << 30
    )
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("degrees", "bright"),
    [(90, (slice(0, 40), slice(40, None))), (180, (slice(40, None), slice(56, None))),
     (270, (slice(56, None), slice(0, 24)))],
)  # fmt: skip
def test_a_phones_video_is_upright_whatever_opencv_does(
    tmp_path: Path, degrees: int, bright: tuple[slice, slice]
) -> None:
    video = rotated(tmp_path / "v.mp4", degrees)
    source = open_source(SourceSettings(spec=str(video)))
    picture = source.read().picture
    source.close()
    assert picture.shape == ((96, 64, 3) if degrees != 180 else (64, 96, 3))
    assert picture[bright].mean() > 240
    assert picture.mean() < 70


@pytest.mark.parametrize("name", [b"caf\xe9", "ใบหน้า".encode(), b"12:30", b"a\nb"])
def test_any_name_that_a_file_can_have_is_read_and_named(tmp_path: Path, name: bytes) -> None:
    shown = name.decode("utf-8", "backslashreplace")
    folder = tmp_path / "f"
    folder.mkdir()
    picture = folder / os.fsdecode(name + b".png")
    picture.write_bytes(cv2.imencode(".png", numbered(50))[1].tobytes())
    video = write_video(tmp_path / "v.avi", 2).rename(tmp_path / os.fsdecode(name + b".avi"))
    sources = [open_source(SourceSettings(spec=str(path))) for path in (video, picture, folder)]
    assert [source.name for source in sources] == [f"{shown}.avi", f"{shown}.png", "f"]
    frames = [source.read() for source in sources]
    assert [round(float(frame.picture.mean())) for frame in frames] == [0, 50, 50]
    assert [frame.name for frame in frames] == [None, None, f"f/{shown}.png"]
    for source in sources:
        source.close()
    with pytest.raises(ConfigError, match="there is no source") as caught:
        open_source(SourceSettings(spec=str(picture) + "x"))
    str(caught.value).encode()  # valid Unicode


def test_events_of_a_folder_name_the_picture(edgeface: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "seen"
    folder.mkdir()
    for name in (b"caf\xe9.jpg", b"two.jpg"):
        (folder / os.fsdecode(name)).write_bytes((PORTRAITS / "obama.jpg").read_bytes())
    done = edgeface("run", "--source", folder)
    assert done.status == 0, done.stderr
    named = [json.loads(line)["source"] for line in done.stdout.splitlines()]
    assert named == ["seen/caf\\xe9.jpg", "seen/two.jpg"]


def test_a_source_that_is_empty_is_an_error(edgeface: CommandLine) -> None:
    done = edgeface("run", "--source", "")
    assert done.status == 2
    assert "--source: spec is empty; name a camera" in done.stderr
    with pytest.raises(ValueError, match="spec is empty"):
        SourceSettings(spec="  ")


def test_a_video_that_was_cut_off_is_one_sentence_in_a_program_that_used_opencv_before(
    tmp_path: Path,
) -> None:
    whole = tmp_path / "whole.mp4"
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*"mp4v"), 25, (96, 64))
    for number in range(25):
        writer.write(numbered(10 * number))
    writer.release()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:-400])  # as a camera leaves it that lost its power
    program = (
        f"import cv2; cv2.VideoCapture({str(whole)!r}).read()\n"
        "from edgeface.sources import SourceSettings, open_source\n"
        f"try: open_source(SourceSettings(spec={str(cut)!r}))\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert "is no video that can be read" in done.stdout
    assert done.stderr == ""
