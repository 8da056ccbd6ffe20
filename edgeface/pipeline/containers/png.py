"""PNG files (W3C's PNG specification, section 5).

Takes in a file's bytes, hands on its layout: header, palette and pixels. Compressed texts, colour
profiles and the further pictures of an animation are left out. It decodes nothing.
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

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


def read(data: bytes) -> Layout:
    """The layout of a PNG file; CutShort without its last chunk."""
    kept, at, kind, orientation = [SIGNATURE], len(SIGNATURE), b"", 1
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + 12 + length] if length <= len(data) else b""
        if len(chunk) != 12 + length:
            raise CutShort
        if (kind == b"IHDR") != (at == len(SIGNATURE)):
            raise Unfit("has no header, or more than one; save it again")
        if kind == b"eXIf":
            orientation = exif_orientation(chunk[8:-4])
        if kind in _KEPT:
            kept.append(chunk)
        at += len(chunk)
    if len(kept[1]) != 25:
        raise Unfit("is damaged and cannot be read; use another copy")
    width, height = struct.unpack_from(">II", kept[1], 8)
    check_size(width, height)
    settled = b"".join(kept)
    return Layout(width, height, settled, frames(width, height) + len(settled), orientation)
