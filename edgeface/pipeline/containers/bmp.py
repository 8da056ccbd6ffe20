"""BMP files, of Windows and OS/2.

Takes in a file's bytes, hands on its layout. It decodes nothing.
"""

from __future__ import annotations

import struct

from edgeface.pipeline.containers.layout import CutShort, Layout, Unfit, check_size, frames

SIGNATURE = b"BM"
_RUN_LENGTHS = (1, 2)  # compressions whose rows have no fixed length


def read(data: bytes) -> Layout:
    """The layout of a BMP file; CutShort where rows are missing."""
    start, header = struct.unpack_from("<II", data, 10)
    compression = 0
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    elif header in (40, 52, 56, 108, 124):
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    else:
        raise Unfit("is a rare kind of BMP that is not read; save it as JPEG or PNG")
    height = abs(height)  # a negative one: stored from the top
    check_size(width, height)
    row = -(-width * bits // 8)
    pitch = row + -row % 4
    if compression not in _RUN_LENGTHS and start + pitch * (height - 1) + row > len(data):
        raise CutShort
    return Layout(width, height, data, frames(width, height) + len(data))
