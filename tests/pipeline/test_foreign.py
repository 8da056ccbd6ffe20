"""Pictures of iPhones and browsers are read where Pillow is, else named in one sentence."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeface.errors import PictureError
from edgeface.pipeline.pictures import as_frame, read_picture

UPRIGHT = np.zeros((48, 64, 3), np.uint8)
UPRIGHT[:24, :32] = (20, 40, 220)  # BGR: a red corner at the top left
HEADS = {
    "HEIC": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
    "AVIF": b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1",
    "JPEG XL": b"\xff\x0a" + bytes(20),
    "GIF": b"GIF89a" + bytes(20),
    "a PDF document": b"%PDF-1.7" + bytes(20),
    "a web page": b"<!DOCTYPE html>" + bytes(20),
    "a video": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2",
}


@pytest.mark.parametrize("name", HEADS)
def test_a_format_that_is_not_read_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)  # as where Pillow is not installed
    path = tmp_path / "picture.jpg"
    path.write_bytes(HEADS[name])
    with pytest.raises(PictureError, match=f"is {name}, which cannot be read here; ") as caught:
        read_picture(path)
    assert ("edgeface[heic]" in str(caught.value)) == (name in ("HEIC", "AVIF", "GIF"))


@pytest.mark.parametrize(("name", "suffix"), [("HEIC", "HEIF"), ("AVIF", "AVIF"), ("GIF", "GIF")])
def test_what_pillow_reads_is_read_upright_and_not_half(name: str, suffix: str) -> None:
    image = pytest.importorskip("PIL.Image")
    if name == "HEIC":
        pytest.importorskip("pillow_heif").register_heif_opener()
    turned = name != "GIF"  # which has no EXIF
    stored = image.fromarray(UPRIGHT[:, :, ::-1])
    exif = image.Exif()
    if turned:
        stored = stored.transpose(image.Transpose.ROTATE_90)
        exif[0x0112] = 6
    file = io.BytesIO()
    stored.save(file, suffix, **({"exif": exif.tobytes()} if turned else {}))
    frame = as_frame(file.getvalue())
    assert frame.shape == UPRIGHT.shape
    assert np.abs(frame.astype(int) - UPRIGHT).mean() < 8
    with pytest.raises(PictureError, match="is damaged"):
        as_frame(file.getvalue()[: len(file.getvalue()) * 3 // 4])


def test_an_animation_is_refused() -> None:
    image = pytest.importorskip("PIL.Image")
    first, second = (image.fromarray(UPRIGHT + shade) for shade in (0, 9))
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=[second])
    with pytest.raises(PictureError, match="is an animation"):
        as_frame(file.getvalue())
