"""Pictures: what can be read is read as a person sees it; what is not whole is refused."""

from __future__ import annotations

import io
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
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


def damaged(coded: bytes, how: str) -> bytes:
    """A JPEG with a third of its picture lost, which still ends as it should."""
    at, end = len(coded) // 2, len(coded) * 5 // 6
    middle = {
        "cut": b"",
        "zeros": bytes(end - at),
        "noise": np.random.default_rng(2).integers(1, 255, end - at, np.uint8).tobytes(),
    }[how]
    return coded[:at] + middle + coded[end if how != "cut" else -2 :]


@pytest.mark.parametrize("how", ["cut", "zeros", "noise"])
@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_that_is_damaged_inside_is_refused_in_every_thread(
    progressive: int, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = cv2.imdecode(np.frombuffer(JPEG, np.uint8), cv2.IMREAD_REDUCED_COLOR_2)
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()  # type: ignore[arg-type]
    assert as_frame(coded).shape == picture.shape  # type: ignore[union-attr]

    def refused() -> str:
        with pytest.raises(PictureError, match="is damaged") as caught:
            as_frame(damaged(coded, how))
        return str(caught.value)

    refused()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(refused).result()
    assert capfd.readouterr().err == ""  # what the decoder printed


def test_what_another_thread_prints_while_a_picture_is_decoded_is_not_lost(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = cv2.imdecode

    def interrupted(*arguments: Any) -> Any:
        os.write(2, b"INFO somebody came\n")
        return decode(*arguments)

    monkeypatch.setattr(cv2, "imdecode", interrupted)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(as_frame, JPEG).result()
    assert capfd.readouterr().err == "INFO somebody came\n"


@pytest.mark.parametrize("how", ["cut", "zeros"])
def test_a_webp_that_is_damaged_inside_is_refused(how: str) -> None:
    picture = cv2.imdecode(np.frombuffer(JPEG, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    coded = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, 90])[1].tobytes()
    half = len(coded) // 2
    lost = coded[:half] + bytes(len(coded) - half)
    if how == "cut":
        body = coded[20:half] + b"\x00" * (half % 2)
        head = struct.pack("<I4sII", len(body) + 12, b"WEBP", 0x20385056, half - 20)
        lost = b"RIFF" + head + body
    with pytest.raises(PictureError, match="is damaged"):
        as_frame(lost)


TURNED = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_COUNTERCLOCKWISE, 8: cv2.ROTATE_90_CLOCKWISE}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["JPEG behind XMP", "WebP", "PNG", "TIFF"])
def test_every_container_says_how_the_camera_was_held(kind: str, orientation: int) -> None:
    upright = cv2.imdecode(np.frombuffer(JPEG, np.uint8), cv2.IMREAD_REDUCED_COLOR_4)
    assert upright is not None
    lying = cv2.rotate(upright, TURNED[orientation])
    exif = b"II*\x00" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, orientation, 0)
    suffix = {"JPEG behind XMP": ".jpg", "WebP": ".webp", "PNG": ".png", "TIFF": ".tiff"}[kind]
    coded = cv2.imencode(suffix, lying)[1].tobytes()
    if kind == "JPEG behind XMP":
        xmp = b"http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta/>"
        coded = with_orientation(coded, orientation)
        coded = coded[:2] + b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp + coded[2:]
    elif kind == "WebP":
        coded += b"EXIF" + struct.pack("<I", len(exif)) + exif + b"\x00" * (len(exif) % 2)
        coded = coded[:4] + struct.pack("<I", len(coded) - 8) + coded[8:]
    elif kind == "PNG":
        chunk = b"eXIf" + exif
        at = coded.index(b"IDAT") - 4
        whole = struct.pack(">I", len(exif)) + chunk + struct.pack(">I", zlib.crc32(chunk))
        coded = coded[:at] + whole + coded[at:]
    else:
        pytest.importorskip("PIL.TiffImagePlugin")
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(lying[:, :, ::-1])).save(
            file, "TIFF", tiffinfo={0x0112: orientation}
        )
        coded = file.getvalue()
    frame = as_frame(coded)
    assert frame.shape == upright.shape
    assert np.abs(frame.astype(int) - upright).mean() < 8
