"""Pictures: what can be read is read as a person sees it; what is not whole is refused."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeface.errors import PictureError
from edgeface.pipeline.pictures import as_frame, check_array, read_picture
from tests.conftest import PORTRAITS

JPEG = (PORTRAITS / "collins.jpg").read_bytes()


def write(folder: Path, suffix: str, pixels: np.ndarray) -> Path:
    path = folder / f"picture{suffix}"
    assert cv2.imwrite(str(path), pixels)
    return path


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF segment that holds only the orientation tag (0x0112)."""
    tiff = b"II*\x00" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, orientation, 0)
    segment = b"Exif\x00\x00" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def test_exif_orientation_turns_the_picture_upright(tmp_path: Path) -> None:
    upright = cv2.imdecode(np.frombuffer(JPEG, np.uint8), cv2.IMREAD_COLOR)
    assert upright is not None
    lying = cv2.imencode(".jpg", cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE))[1].tobytes()
    path = tmp_path / "lying.jpg"
    path.write_bytes(with_orientation(lying, 6))  # 6: turn 90 degrees clockwise to see it
    frame = read_picture(path)
    assert frame.shape == upright.shape
    assert np.abs(frame.astype(int) - upright).mean() < 3


@pytest.mark.parametrize(
    ("suffix", "shape", "dtype"),
    [
        (".png", (40, 60), np.uint8),
        (".png", (40, 60, 4), np.uint8),
        (".png", (40, 60, 3), np.uint16),
        (".png", (40, 60), np.uint16),
        (".tiff", (40, 60, 3), np.uint16),
        (".webp", (40, 60, 3), np.uint8),
        (".bmp", (40, 60, 3), np.uint8),
    ],
)
def test_every_kind_becomes_an_8_bit_colour_frame(
    tmp_path: Path, suffix: str, shape: tuple[int, ...], dtype: type[Any]
) -> None:
    ramp: Any = np.linspace(0, np.iinfo(dtype).max, 60).astype(dtype)
    pixels = np.broadcast_to(ramp.reshape((1, 60) + (1,) * (len(shape) - 2)), shape).copy()
    if len(shape) == 3 and shape[2] == 4:
        pixels[..., 3] = 255
    frame = read_picture(write(tmp_path, suffix, pixels))
    assert frame.shape == (40, 60, 3)
    assert frame.dtype == np.uint8
    expected = np.linspace(0, 255, 60)
    assert np.abs(frame[20, :, 1].astype(float) - expected).max() <= 4


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_jpeg_cut_anywhere_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, len(JPEG) - 1))
    path = tmp_path / "cut.jpg"
    path.write_bytes(JPEG[:kept])
    with pytest.raises(PictureError):
        read_picture(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_png_cut_anywhere_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    whole = cv2.imencode(".png", np.random.default_rng(1).integers(0, 255, (30, 30, 3)))[1]
    kept = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path / "cut.png"
    path.write_bytes(whole.tobytes()[:kept])
    with pytest.raises(PictureError):
        read_picture(path)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=400), st.sampled_from([b"", JPEG[:3], b"\x89PNG\r\n\x1a\n", b"BM"]))
def test_arbitrary_bytes_give_a_picture_error(tmp_path: Path, tail: bytes, head: bytes) -> None:
    path = tmp_path / "noise.jpg"
    path.write_bytes(head + tail)
    try:
        frame = read_picture(path)
    except PictureError as error:
        assert "\n" not in str(error)
    else:
        check_array(frame)


def test_a_thumbnail_inside_does_not_hide_that_the_end_is_missing(tmp_path: Path) -> None:
    thumbnail = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    segment = b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    path = tmp_path / "cut.jpg"
    path.write_bytes(JPEG[:2] + segment + JPEG[2 : len(JPEG) // 2])
    with pytest.raises(PictureError, match="cut short"):
        read_picture(path)


def test_a_picture_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    with pytest.raises(PictureError, match="60000x60000"):
        read_picture(path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
    ],
)
def test_an_array_of_another_kind_is_named(array: np.ndarray) -> None:
    with pytest.raises(PictureError, match="uint8 with shape"):
        check_array(array)


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".tiff", ".png", ".jpg"])
def test_the_size_is_read_before_anything_is_unpacked(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, suffix, np.zeros((30, 50, 3), np.uint8))
    assert read_picture(path).shape == (30, 50, 3)
    monkeypatch.setattr("edgeface.pipeline.containers.layout.MOST_MEGAPIXELS", 0.001)
    with pytest.raises(PictureError, match="50x30"):
        read_picture(path)


def test_a_lossless_webp_tells_its_size_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lossless.webp"
    assert cv2.imwrite(str(path), np.zeros((30, 50, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 101])
    assert path.read_bytes()[12:16] == b"VP8L"
    monkeypatch.setattr("edgeface.pipeline.containers.layout.MOST_MEGAPIXELS", 0.001)
    with pytest.raises(PictureError, match="50x30"):
        read_picture(path)


def test_what_is_no_ordinary_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(PictureError, match="no ordinary file"):
            read_picture(path)


@pytest.mark.parametrize("image", [None, 7, "a\0b.jpg", b"a\0b.jpg"])
def test_what_is_no_image_at_all_is_a_picture_error(image: object) -> None:
    with pytest.raises(PictureError):
        as_frame(image)  # type: ignore[arg-type]
