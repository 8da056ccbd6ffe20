"""WebP files (RFC 9649).

Takes in a file's bytes, hands on its layout: one lossy or lossless picture, alone in a file of its
own. Alpha and the extended header are left out once the sizes are found to agree. It decodes
nothing.
"""

from __future__ import annotations

import struct

from edgeface.pipeline.containers.layout import (
    CutShort,
    Layout,
    Unfit,
    check_size,
    exif_orientation,
    frames,
)

_LOSSY, _LOSSLESS, _EXTENDED = b"VP8 ", b"VP8L", b"VP8X"


def is_webp(data: bytes) -> bool:
    """Whether it begins as a WebP file does."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def read(data: bytes) -> Layout:
    """The layout of a WebP file; CutShort where it is shorter than it says."""
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data):
        raise CutShort
    canvas: tuple[int, int] | None = None
    picture: tuple[bytes, bytes] | None = None
    at, orientation = 12, 1
    while at + 8 <= length + 8:
        kind, size = struct.unpack_from("<4sI", data, at)
        if at + 8 + size > len(data):
            raise CutShort
        chunk = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
        if kind in (b"ANIM", b"ANMF"):
            raise Unfit("is an animation; save one of its pictures as JPEG")
        if kind == _EXTENDED:
            canvas = _agreed(canvas, _canvas(chunk))
        elif kind in (_LOSSY, _LOSSLESS):
            if picture is not None:
                raise Unfit("holds two pictures; save one of them as JPEG")
            picture = kind, chunk
            canvas = _agreed(canvas, _size(kind, chunk))
        elif kind == b"EXIF":
            orientation = exif_orientation(chunk.removeprefix(b"Exif\x00\x00"))
    if picture is None or canvas is None:
        raise CutShort
    width, height = canvas
    check_size(width, height)
    kind, chunk = picture
    body = b"WEBP" + kind + struct.pack("<I", len(chunk)) + chunk + b"\x00" * (len(chunk) % 2)
    settled = b"RIFF" + struct.pack("<I", len(body)) + body
    # A lossless picture is decoded into four bytes a pixel; OpenCV copies the file.
    more = 2 * width * height if kind == _LOSSLESS else 0
    memory = frames(width, height) + more + 2 * len(settled)
    return Layout(width, height, settled, memory, orientation)


def _agreed(one: tuple[int, int] | None, other: tuple[int, int]) -> tuple[int, int]:
    if one is not None and one != other:
        raise Unfit("says two different sizes; save it again")
    return other


def _canvas(chunk: bytes) -> tuple[int, int]:
    low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", chunk, 4)
    return low_width + (high_width << 16) + 1, low_height + (high_height << 16) + 1


def _size(kind: bytes, chunk: bytes) -> tuple[int, int]:
    if kind == _LOSSY:
        if chunk[3:6] != b"\x9d\x01\x2a":
            raise Unfit("is damaged and cannot be read; use another copy")
        width, height = struct.unpack_from("<HH", chunk, 6)
        return width & 0x3FFF, height & 0x3FFF
    if chunk[:1] != b"\x2f":
        raise Unfit("is damaged and cannot be read; use another copy")
    (bits,) = struct.unpack_from("<I", chunk, 1)
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
