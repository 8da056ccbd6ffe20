"""TIFF files (TIFF 6.0).

Takes in a file's bytes, hands on its layout: the first directory, reduced to the entries that
decide about pixels, each of which must be there once. Further pages, thumbnails and notes are left
out. It decodes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from edgeface.pipeline.containers.layout import CutShort, Layout, Unfit, check_size, frames

SIGNATURES = (b"II*\x00", b"MM\x00*")  # BigTIFF is none of them
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS, _ORIENTATION = 256, 257, 258, 259, 262, 274
_SAMPLES, _ROWS, _PLANES, _PREDICTOR, _PALETTE = 277, 278, 284, 317, 320
_STRIPS, _STRIP_BYTES = 273, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_EXTRA_SAMPLES, _SAMPLE_FORMAT = 338, 339
_KEPT = {
    *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLOURS, _SAMPLES, _ROWS, _PLANES, _PREDICTOR),
    *(_PALETTE, _STRIPS, _STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES),
    *(_EXTRA_SAMPLES, _SAMPLE_FORMAT),
}
_KINDS = {3: ("H", 2), 4: ("I", 4)}  # SHORT and LONG: all that these entries may be
_RARE = "is a rare kind of TIFF that is not read; save it as JPEG or PNG"
_READ = {
    _COMPRESSION: {1, 5, 8, 32773, 32946},  # none, LZW, deflate, PackBits
    _COLOURS: {0, 1, 2, 3},  # grey from white, grey from black, RGB, palette
    _SAMPLES: {1, 2, 3, 4},
    _PLANES: {1},
    _SAMPLE_FORMAT: {1},
    _BITS: {1, 4, 8, 16},
}
_UNSAID = {_BITS: [1], _COMPRESSION: [1], _SAMPLES: [1], _PLANES: [1], _SAMPLE_FORMAT: [1]}


@dataclass(frozen=True)
class _Blocks:
    """The strips or tiles: how many a file must have, the pixels of one, and where they are."""

    count: int
    pixels: int
    starts: Sequence[int]
    sizes: Sequence[int]


def read(data: bytes) -> Layout:
    """The layout of a TIFF file; CutShort where it is shorter than it says."""
    order = "<" if data.startswith(b"II") else ">"
    entries = _directory(data, order)
    values = {tag: _values(data, order, entry) for tag, entry in entries.items()}
    width, height = _one(values, _WIDTH), _one(values, _HEIGHT)
    check_size(width, height)
    for tag, allowed in _READ.items():
        if not {*values.get(tag, _UNSAID.get(tag, []))} <= allowed:
            raise Unfit(_RARE)
    samples = values.get(_SAMPLES, _UNSAID[_SAMPLES])[0]
    bits = values.get(_BITS, _UNSAID[_BITS])
    if {*bits} != {bits[0]} or len(bits) not in (1, samples):
        raise Unfit(_RARE)
    blocks = _blocks(values, width, height)
    if not len(blocks.starts) == len(blocks.sizes) == blocks.count:
        raise Unfit("is damaged and cannot be read; use another copy")
    if any(
        start + size > len(data) for start, size in zip(blocks.starts, blocks.sizes, strict=True)
    ):
        raise CutShort
    settled = _settled(data, order, entries)
    # A block is read, unpacked, and where it has 8 bits made RGBA, before it goes into the frame.
    block = blocks.pixels * (samples * bits[0] // 4 + 4) + max(blocks.sizes)
    memory = max(frames(width, height), frames(width, height) // 2 + block) + len(settled)
    orientation = values.get(_ORIENTATION, [1])[0]
    return Layout(width, height, settled, memory, orientation if 1 <= orientation <= 8 else 1)


def _directory(data: bytes, order: str) -> dict[int, bytes]:
    """The entries of the first directory that are needed, 12 bytes each, by their tags."""
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    found: dict[int, bytes] = {}
    for start in range(at + 2, at + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from(order + "H", data, start)
        if tag in found:
            raise Unfit("says something twice; save it again")
        if tag in _KEPT or tag == _ORIENTATION:
            found[tag] = data[start : start + 12]
    return found


def _values(data: bytes, order: str, entry: bytes) -> list[int]:
    _, kind, count = struct.unpack_from(order + "HHI", entry)
    if kind not in _KINDS or not count:
        raise Unfit(_RARE)
    letter, size = _KINDS[kind]
    if size * count <= 4:
        return [*struct.unpack_from(f"{order}{count}{letter}", entry, 8)]
    (at,) = struct.unpack_from(order + "I", entry, 8)
    if at + size * count > len(data):
        raise CutShort
    return [*struct.unpack_from(f"{order}{count}{letter}", data, at)]


def _one(values: dict[int, list[int]], tag: int) -> int:
    found = values.get(tag, [])
    if len(found) != 1:
        raise Unfit("is damaged and cannot be read; use another copy")
    return found[0]


def _blocks(values: dict[int, list[int]], width: int, height: int) -> _Blocks:
    tiled = {_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES}
    if tiled & values.keys():
        if {_STRIPS, _STRIP_BYTES} & values.keys():
            raise Unfit("says twice where its pixels are; save it again")
        across, down = _one(values, _TILE_WIDTH), _one(values, _TILE_HEIGHT)
        if not across or not down:
            raise Unfit("is damaged and cannot be read; use another copy")
        count = -(-width // across) * -(-height // down)
        starts, sizes = values.get(_TILES, []), values.get(_TILE_BYTES, [])
        return _Blocks(count, across * down, starts, sizes)
    rows = min(height, _one(values, _ROWS) if _ROWS in values else height)
    if not rows:
        raise Unfit("is damaged and cannot be read; use another copy")
    starts, sizes = values.get(_STRIPS, []), values.get(_STRIP_BYTES, [])
    return _Blocks(-(-height // rows), width * rows, starts, sizes)


def _settled(data: bytes, order: str, entries: dict[int, bytes]) -> bytes:
    """The file with one directory, of the kept entries alone, at its end."""
    kept = [entry for tag, entry in sorted(entries.items()) if tag in _KEPT]
    at = len(data) + len(data) % 2
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + bytes(4)
    start = struct.pack(order + "I", at)
    return b"".join((data[:4], start, data[8:], bytes(len(data) % 2), directory))
