"""JPEG files (ITU T.81, annex B).

Takes in a file's bytes, hands on its layout: one frame header, the tables and the scans up to the
first end marker. Thumbnails, further pictures (MPO) and what cameras note are left out. It decodes
nothing.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from edgeface.pipeline.containers.layout import (
    CutShort,
    Layout,
    Unfit,
    check_size,
    exif_orientation,
    frames,
)

SIGNATURE = b"\xff\xd8\xff"
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")  # all but stuffing, fill and bare ones
_END, _SCAN, _SECOND_HEIGHT, _EXIF = 0xD9, 0xDA, 0xDC, 0xE1
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # frame headers: they hold the size
_READ = {0xC0: False, 0xC1: False, 0xC2: True}  # baseline, extended, progressive: scans refine
_KEPT = {0xC4, 0xDB, 0xDD, _SCAN}  # Huffman codes, quantization, restart interval
_MOST_SCANS = 64  # the most that encoders write is about 30; each passes over every pixel again


def read(data: bytes) -> Layout:
    """The layout of a JPEG file; CutShort without an end marker."""
    kept: list[bytes] = [SIGNATURE[:2]]
    progressive, frame, orientation = False, b"", 0
    scans: list[bytes] = []
    for marker, segment, entropy in _segments(data):
        if marker in _FRAMES:
            if frame:
                raise Unfit("says its size twice; save it again")
            progressive, frame = _kind(marker), segment
            check_size(*_size(frame))
        elif marker == _SECOND_HEIGHT:
            raise Unfit("says its height twice; save it again")
        elif marker == _SCAN:
            scans.append(segment)
        elif marker == _EXIF and segment[2:8] == b"Exif\x00\x00":
            orientation = orientation or exif_orientation(segment[8:])
        if marker in _KEPT or marker in _FRAMES or _names_colours(marker, segment):
            kept += (bytes((0xFF, marker)), segment, entropy)
    if not frame or not scans:
        raise CutShort
    if len(scans) > _MOST_SCANS:
        raise Unfit(f"is written in {len(scans)} scans, more than {_MOST_SCANS}; save it again")
    width, height = _size(frame)
    settled = b"".join((*kept, b"\xff\xd9"))
    interleaved = all(scan[2] == frame[7] for scan in scans)
    held = _coefficients(frame) if progressive or not interleaved else 0
    rows = 64 * frame[7] * width  # what the decoder keeps to scale the colours up
    memory = max(frames(width, height), frames(width, height) // 2 + held) + rows
    return Layout(width, height, settled, memory + len(settled), orientation or 1)


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Each marker with its segment and what is coded behind a scan's, up to the end marker."""
    marker, segment, start, at = 0, b"", 2, 2
    while True:
        found = _MARKER.search(data, at)
        if found is None:
            raise CutShort
        if marker:
            yield marker, segment, data[start : found.start()] if marker == _SCAN else b""
        marker, at = data[found.end() - 1], found.end()
        if marker == _END:
            return
        segment = _segment(data, at)
        start = at = at + len(segment)


def _segment(data: bytes, at: int) -> bytes:
    (length,) = struct.unpack_from(">H", data, at)
    if at + length > len(data) or length < 2:
        raise CutShort
    return data[at : at + length]


def _kind(marker: int) -> bool:
    """Whether it is progressive; Unfit for arithmetic, lossless and hierarchical coding."""
    if marker not in _READ:
        raise Unfit("is a rare kind of JPEG that is not read; save it as an ordinary JPEG")
    return _READ[marker]


def _size(frame: bytes) -> tuple[int, int]:
    """Width and height of a frame header, whose parts are checked."""
    _, bits, height, width, components = struct.unpack_from(">HBHHB", frame)
    if len(frame) != 8 + 3 * components:
        raise Unfit("is damaged and cannot be read; use another copy")
    if bits != 8 or components not in (1, 3, 4):
        raise Unfit("is a rare kind of JPEG that is not read; save it as an ordinary JPEG")
    if any(not (1 <= n >> 4 <= 4 and 1 <= n & 15 <= 4) for n in frame[9::3]):
        raise Unfit("is damaged and cannot be read; use another copy")
    return width, height


def _coefficients(frame: bytes) -> int:
    """Bytes of all coefficients, which a decoder keeps where one scan does not hold a block's."""
    width, height = _size(frame)
    across = [sampling >> 4 for sampling in frame[9::3]]
    down = [sampling & 15 for sampling in frame[9::3]]
    columns, rows = -(-width // (8 * max(across))), -(-height // (8 * max(down)))
    return sum(128 * columns * a * rows * d for a, d in zip(across, down, strict=True))


def _names_colours(marker: int, segment: bytes) -> bool:
    """Whether it is the JFIF or the Adobe segment, which say what the components mean."""
    return (marker == 0xE0 and segment[2:7] == b"JFIF\x00") or (
        marker == 0xEE and segment[2:7] == b"Adobe"
    )
