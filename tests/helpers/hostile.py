"""Picture files that say one thing and hold another: small on the card, huge when decoded.

Each function takes nothing but sizes and hands on a file's bytes, written by hand, since no encoder
writes them.
"""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np


def tiff(
    entries: list[tuple[int, int, int | tuple[int, ...]]], body: bytes, *, start: int = 8
) -> bytes:
    """A little-endian TIFF: `body` first, then one directory of (tag, kind, value) as given."""
    at = start + len(body)
    tail = b""
    directory = struct.pack("<H", len(entries))
    behind = at + 2 + 12 * len(entries) + 4
    for tag, kind, value in entries:
        values = value if isinstance(value, tuple) else (value,)
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            field = struct.pack("<I", behind + len(tail))
            tail += packed
        else:
            field = packed.ljust(4, b"\x00")
        directory += struct.pack("<HHI", tag, kind, len(values)) + field
    return b"II*\x00" + struct.pack("<I", at) + body + directory + bytes(4) + tail


def tiff_with_two_widths(side: int = 11_500) -> bytes:
    """One strip of `side` x `side` black pixels; the size is there again behind, as 100 x 100."""
    packer = zlib.compressobj(9)
    row = bytes(3 * side)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return tiff(
        [
            *((256, 4, side), (257, 4, side), (258, 3, (8, 8, 8)), (259, 3, 8), (262, 3, 2)),
            *((273, 4, 8), (277, 3, 3), (278, 4, side), (279, 4, len(body))),
            *((256, 4, 100), (257, 4, 100)),
        ],
        body,
    )


def tiff_with_one_huge_tile(side: int = 15_984) -> bytes:
    """A picture of 100 x 100 in one tile of `side` x `side`."""
    return tiff(
        [
            *((256, 4, 100), (257, 4, 100), (258, 3, (16, 16, 16)), (259, 3, 8), (262, 3, 2)),
            *((277, 3, 3), (322, 4, side), (323, 4, side), (324, 4, 8), (325, 4, 8)),
        ],
        zlib.compress(b"")[:8].ljust(8, b"\x00"),
    )


def _lossless(side: int) -> bytes:
    """A VP8L stream of one colour: five prefix codes of one symbol each, no bit a pixel."""
    bits = [(side - 1, 14), (side - 1, 14), (0, 1), (0, 3), (0, 1), (0, 1), (0, 1)]
    bits += [(1, 1), (0, 1), (0, 1), (0, 1)] * 5  # simple, one symbol, of one bit, the symbol 0
    value = position = 0
    for number, width in bits:
        value |= number << position
        position += width
    return b"\x2f" + value.to_bytes(-(-position // 8) + 8, "little")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(_chunk(kind, content) for kind, content in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_with_a_small_canvas(side: int = 16_383) -> bytes:
    """A canvas of 100 x 100 around a picture of `side` x `side`."""
    canvas = struct.pack("<IHBHB", 0, 99, 0, 99, 0)
    return webp((b"VP8X", canvas), (b"VP8L", _lossless(side)), (b"EXIF", bytes(4000)))


def webp_animation(side: int = 16_383) -> bytes:
    """An animation whose canvas and only frame are `side` x `side`."""
    side = side - 1
    edge = (side & 0xFFFF, side >> 16)
    canvas = struct.pack("<IHBHB", 2, *edge, *edge)
    frame = bytes(6) + struct.pack("<HBHB", *edge, *edge) + bytes(4)
    frame += _chunk(b"VP8L", _lossless(side + 1))
    return webp((b"VP8X", canvas), (b"ANIM", bytes(6)), (b"ANMF", frame))


def jpeg(width: int = 60, height: int = 40, *options: int) -> bytes:
    pixels = np.full((height, width, 3), 99, np.uint8)
    return cv2.imencode(".jpg", pixels, options)[1].tobytes()


def frame_header(data: bytes) -> tuple[int, bytes]:
    """Where a JPEG's frame header starts, and the header with its marker."""
    at = 2
    while data[at + 1] not in (0xC0, 0xC2):
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return at, data[at : at + 2 + struct.unpack_from(">H", data, at + 2)[0]]


def jpeg_with_two_frame_headers(side: int = 30_000) -> bytes:
    """The first header says `side` x `side`, the second 60 x 40."""
    data = jpeg()
    at, header = frame_header(data)
    first = header[:5] + struct.pack(">HH", side, side) + header[9:]
    return data[:at] + first + data[at:]


def jpeg_of_many_scans(scans: int = 3000) -> bytes:
    """A progressive JPEG whose last scan is there again and again."""
    data = jpeg(60, 40, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    at = data.rindex(b"\xff\xda")
    return data[:at] + (data[at:-2]) * scans + data[-2:]


def progressive_jpeg(width: int, height: int) -> bytes:
    """A progressive JPEG without subsampling: its decoder keeps every coefficient."""
    data = jpeg(64, 64, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    at, header = frame_header(data)
    parts = bytearray(header)
    parts[5:9] = struct.pack(">HH", height, width)
    parts[11::3] = b"\x11" * len(parts[11::3])
    return data[:at] + bytes(parts) + data[at + len(header) :]


def png(width: int, height: int, *, interlaced: bool = False, deep: bool = False) -> bytes:
    """A PNG of black pixels, RGBA, of 8 or 16 bits."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    packer = zlib.compressobj(9)
    row = bytes(1 + width * (8 if deep else 4))
    rows = height + (height // 4 if interlaced else 0)  # Adam7 has more rows, hence filter bytes
    body = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 16 if deep else 8, 6, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )
