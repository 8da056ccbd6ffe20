"""Containers: what a picture file is, how large, and what decoding it takes, before it is decoded.

Takes in a file's bytes, hands on a `Layout` whose data hold one picture that says its size once:
the decoder sees nothing else of the file. It decodes nothing, and reads no container but these.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from edgeface.pipeline.containers import bmp, jpeg, png, tiff, webp
from edgeface.pipeline.containers.layout import (
    MOST_MEGAPIXELS,
    MOST_MEMORY,
    CutShort,
    Layout,
    Unfit,
    check_memory,
)

__all__ = ["KINDS", "MOST_MEGAPIXELS", "MOST_MEMORY", "CutShort", "Layout", "Unfit", "layout_of"]

KINDS = "JPEG, PNG, WebP, BMP and TIFF"


def layout_of(data: bytes) -> Layout | None:
    """The layout of a picture file, or None for what is no picture that can be read.

    Raises CutShort when its end is missing, Unfit when it is not to be decoded.
    """
    read = _reader(data)
    if read is None:
        return None
    try:
        return check_memory(read(data))
    except (struct.error, IndexError):
        raise CutShort from None


def _reader(data: bytes) -> Callable[[bytes], Layout] | None:
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.read
    if data.startswith(png.SIGNATURE):
        return png.read
    if data.startswith(tiff.SIGNATURES):
        return tiff.read
    if webp.is_webp(data):
        return webp.read
    return bmp.read if data.startswith(bmp.SIGNATURE) else None
