"""Foreign pictures: HEIC, AVIF, GIF and others that OpenCV does not read alike everywhere.

Takes in a file's bytes, hands on a frame where Pillow is there to decode it (HEIC needs pillow-heif
beside it, the extra edgeface[heic]), else a sentence that names the format and says what to do. It
reads nothing that the containers know.
"""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.containers import Layout, Unfit
from edgeface.pipeline.containers.layout import check_memory, check_size, frames

_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
_SIGNATURES = {
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"%PDF": "a PDF document",
    b"8BPS": "a Photoshop file",
    b"<svg": "SVG",
    b"<?xml": "an XML or SVG file",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
}
_BY_PILLOW = ("HEIC", "AVIF", "GIF")
_ADVICE = {
    "HEIC": "save it as JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible), or run: "
    "pip install 'edgeface[heic]'",
    "AVIF": "save it as JPEG, or run: pip install 'edgeface[heic]'",
    "GIF": "save it as JPEG or PNG, or run: pip install 'edgeface[heic]'",
}


def format_of(data: bytes) -> str | None:
    """What a file is that no container knows, as in "it is HEIC"; None for what nobody knows."""
    if data[4:8] == b"ftyp":
        others = [data[at : at + 4] for at in (8, *range(16, min(64, len(data)), 4))]
        known = [_BRANDS[brand] for brand in others if brand in _BRANDS]
        return ("AVIF" if "AVIF" in known else known[0]) if known else "a video"
    return next((name for sign, name in _SIGNATURES.items() if data.startswith(sign)), None)


def decode(data: bytes, name: str) -> NDArray[np.uint8]:
    """The frame of a file of the format `name`, upright: uint8 BGR, shape (H, W, 3).

    Raises Unfit where it cannot be read; its text says what to do.
    """
    advice = _ADVICE.get(name, "use a JPEG or PNG" if " " in name else "save it as JPEG or PNG")
    images = _pillow(name) if name in _BY_PILLOW else None
    if images is None:
        raise Unfit(f"is {name}, which cannot be read here; {advice}")
    image, operations = images
    try:
        with image.open(io.BytesIO(data), formats=_FORMATS[name]) as opened:
            width, height = opened.size
            check_size(width, height)
            check_memory(Layout(width, height, b"", 3 * frames(width, height) + len(data)))
            if getattr(opened, "n_frames", 1) > 1:
                raise Unfit("is an animation; save one of its pictures as JPEG")
            upright = operations.exif_transpose(opened).convert("RGB")
    except Unfit:
        raise
    except Exception:  # what Pillow and its plugins raise for damage is of many kinds
        raise Unfit("is damaged and cannot be read; use another copy") from None
    return np.ascontiguousarray(np.asarray(upright, np.uint8)[:, :, ::-1])


_FORMATS = {"HEIC": ["HEIF"], "AVIF": ["AVIF"], "GIF": ["GIF"]}


def _pillow(name: str) -> tuple[Any, Any] | None:
    """Pillow's modules Image and ImageOps, where they are there and read the format."""
    try:
        image, operations = import_module("PIL.Image"), import_module("PIL.ImageOps")
        if name == "HEIC":
            import_module("pillow_heif").register_heif_opener()
        if name == "AVIF" and not import_module("PIL.features").check("avif"):
            return None
    except (ImportError, ValueError):  # ValueError: a feature that this Pillow does not know
        return None
    return image, operations
