"""Layouts: what a picture file says about itself, as far as a decoder needs to know it.

Takes in nothing, hands on `Layout`, the two ways in which a file can be unfit, and how EXIF says
that the camera was held. It decodes nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MOST_MEGAPIXELS = 25
MOST_MEMORY = 160_000_000
"""Bytes that a picture may take while it is decoded, its file included: beside the 125 MB of the
networks it leaves room on a board that has 512 MB."""
_FRAMES = 6  # bytes a pixel: OpenCV decodes into a frame of its own, and Python gets a copy


class CutShort(Exception):
    """The end of the file is missing."""


class Unfit(Exception):
    """The file is of a kind that is not read; the text says which, as the rest of a sentence."""


@dataclass(frozen=True)
class Layout:
    """A picture's size and needs, known before a pixel is decoded.

    width, height: as stored, in pixels; data: the file reduced to what decides about its pixels,
    which is what the decoder gets; orientation: EXIF's, 1 to 8; memory: bytes that decoding takes,
    `data` included.
    """

    width: int
    height: int
    data: bytes
    memory: int
    orientation: int = 1


def frames(width: int, height: int) -> int:
    """Bytes that the decoded frame and its copy take."""
    return _FRAMES * width * height


def check_size(width: int, height: int) -> None:
    """Raise Unfit for a picture without pixels, or with more than are read."""
    if width <= 0 or height <= 0:
        raise Unfit("has no pixels; use another copy")
    if width * height > MOST_MEGAPIXELS * 1_000_000:
        raise Unfit(
            f"has {width}x{height} pixels, more than {MOST_MEGAPIXELS} megapixels; "
            "make it smaller first"
        )


def check_memory(layout: Layout) -> Layout:
    """The layout itself, or Unfit when decoding takes more memory than a small board has."""
    if layout.memory > MOST_MEMORY:
        raise Unfit(
            f"takes {layout.memory // 1_000_000} MB to decode, more than "
            f"{MOST_MEMORY // 1_000_000}; make it smaller, or save it as an ordinary JPEG"
        )
    return layout


def exif_orientation(tiff: bytes) -> int:
    """How the camera was held, 1 to 8, from an EXIF block; 1 where it does not say (EXIF 2.3,
    section 4.6.4 A, tag 274)."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * entries, 12):
            tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if (tag, kind, count) == (274, 3, 1):
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
