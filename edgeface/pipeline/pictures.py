"""Pictures: the one place that turns a file or a caller's array into a frame.

Takes in a path, a file's bytes, an open binary file or an array, hands on a frame: uint8 BGR, shape
(H, W, 3), upright. Grey, alpha and 16-bit pictures become that; a file that is cut short is
refused, since a half-grey face is not the face. It finds no faces and keeps nothing.
"""

from __future__ import annotations

import re
import struct
from os import PathLike
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.errors import PictureError

Picture = NDArray[np.uint8]
"""A frame: uint8, shape (H, W, 3), channels blue, green, red."""


class BinaryFile(Protocol):
    """What of a file that is open for reading in binary mode is needed here."""

    def read(self, size: int, /) -> bytes:
        """At most so many of the bytes that are left."""


ImageInput = str | PathLike[str] | bytes | bytearray | memoryview | BinaryFile | NDArray[np.uint8]
"""A picture as a caller may give it: a path, a picture file's bytes, such a file open for reading
in binary mode, or an array (uint8, shape (H, W, 3))."""

MOST_MEGAPIXELS = 100
_MOST_BYTES = 512 << 20  # more than 100 megapixels take in any of these formats
_UNNAMED = "data"  # what error sentences call a picture that has no path
_KINDS = "JPEG, PNG, WebP, BMP and TIFF"
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_BMP, _TIFF = b"BM", (b"II*\x00", b"MM\x00*")
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF markers: hold the size
_JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")  # all but stuffing, fill and bare ones


def as_frame(image: ImageInput, *, rgb: bool = False) -> Picture:
    """A frame from whatever a caller gives as an image; `rgb` says that arrays are RGB, not BGR.

    Raises PictureError, which says what is wrong with it.
    """
    if isinstance(image, np.ndarray):
        frame = check_array(image)
        return np.ascontiguousarray(frame[:, :, ::-1]) if rgb else frame
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_picture(bytes(image))
    if isinstance(image, str | PathLike):
        return read_picture(Path(image))
    if hasattr(image, "read"):
        return _read_file(image)
    raise PictureError(
        "an image must be a path, bytes, a binary file or a uint8 array, not "
        f"{type(image).__name__}"
    )


def check_array(array: NDArray[np.uint8]) -> Picture:
    """The array itself if it is uint8 of shape (H, W, 3), else PictureError."""
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise PictureError(
            f"an image must be uint8 with shape (height, width, 3) in BGR order as OpenCV gives "
            f"it, or in RGB with rgb=True, not {array.dtype} with shape {array.shape}"
        )
    return np.ascontiguousarray(array)


def read_picture(path: Path) -> Picture:
    """Read a picture file: turned upright by its EXIF orientation, alpha dropped, 16 bits scaled.

    Raises PictureError when the file is missing, empty, no picture, cut short or over
    100 megapixels.
    """
    try:
        ordinary = path.is_file() or not path.exists()  # reading a pipe or a device may never end
        if ordinary:
            with path.open("rb") as file:
                data = file.read(_MOST_BYTES)
    except FileNotFoundError:
        raise PictureError(f"there is no picture {path}; check the path") from None
    except OSError as error:
        raise PictureError(f"cannot read the picture {path}: {error.strerror}") from None
    except ValueError:
        raise PictureError(f"{str(path)!r} is not a path; check it") from None
    if not ordinary:
        raise PictureError(f"cannot read the picture {path}: it is no ordinary file")
    return decode_picture(data, str(path))


def _read_file(file: BinaryFile) -> Picture:
    """Read a picture from a file that the caller has opened, and closes."""
    name = getattr(file, "name", None)
    name = name if isinstance(name, str) else _UNNAMED
    try:
        data = file.read(_MOST_BYTES)
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise PictureError(f"cannot read the picture {name}: {error}") from None
    if not isinstance(data, bytes):
        raise PictureError(
            f"cannot read the picture {name}: it is a text file; open it in binary mode, 'rb'"
        )
    return decode_picture(data, name)


def decode_picture(data: bytes, name: str = _UNNAMED) -> Picture:
    """A frame from the bytes of a picture file, as `read_picture`; error sentences use `name`.

    Raises PictureError when they are empty, no picture, cut short or over 100 megapixels.
    """
    if not data:
        raise PictureError(f"the picture {name} is empty (0 bytes); take or copy it again")
    _check_kind(data, name)
    size = _declared_size(data, name)
    if size[0] * size[1] > MOST_MEGAPIXELS * 1_000_000:
        raise PictureError(
            f"the picture {name} has {size[0]}x{size[1]} pixels, more than {MOST_MEGAPIXELS} "
            "megapixels; make it smaller first"
        )
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        frame = None
    if frame is None:
        raise PictureError(f"the picture {name} is damaged and cannot be read; use another copy")
    return frame  # type: ignore[return-value]


def _check_kind(data: bytes, name: str) -> None:
    if _is_webp(data) or data.startswith((_JPEG, _PNG, _BMP, *_TIFF)):
        return
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        raise PictureError(f"the picture {name} is HEIC, which cannot be read; save it as JPEG")
    raise PictureError(f"{name} is not a picture; {_KINDS} files can be read")


def _is_webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def _declared_size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height from the header; PictureError when the end is missing.

    The decoder would fill what is missing with grey and say nothing, and unpack any size.
    """
    try:
        if data.startswith(_JPEG):
            return _walk_jpeg(data)
        if data.startswith(_PNG):
            return _walk_png(data)
        if data.startswith(_BMP):
            return _look_at_bmp(data)
        if data.startswith(_TIFF):
            return _look_at_tiff(data)
        return _look_at_webp(data)
    except (struct.error, IndexError):
        raise PictureError(f"the picture {name} is cut short; copy or take it again") from None


def _look_at_bmp(data: bytes) -> tuple[int, int]:
    """Size in the core header (12 bytes) or the later ones; the file's length is not trusted."""
    if struct.unpack_from("<I", data, 14) == (12,):
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)  # a negative height: stored from the top


def _look_at_tiff(data: bytes) -> tuple[int, int]:
    """ImageWidth (256) and ImageLength (257) of the first directory (TIFF 6.0, section 2)."""
    order = "<" if data.startswith(b"II") else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, at)
    found = {}
    for entry in range(at + 2, at + 2 + 12 * entries, 12):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        (found[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, entry + 8)
    if not {256, 257} <= found.keys():
        raise IndexError
    return found[256], found[257]


def _look_at_webp(data: bytes) -> tuple[int, int]:
    """Size in the first chunk: lossy, lossless or extended (RFC 9649, sections 2.5 to 2.7)."""
    (length,) = struct.unpack_from("<I", data, 4)
    if len(data) < length + 8:
        raise IndexError
    if data[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if data[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, 24)
    return low_width + (high_width << 16) + 1, low_height + (high_height << 16) + 1


def _walk_jpeg(data: bytes) -> tuple[int, int]:
    """Follow the segments to the scan and the scans to the end marker (ITU T.81, annex B)."""
    size, at = None, 2
    while True:
        found = _JPEG_MARKER.search(data, at)
        if found is None:
            raise IndexError
        marker, at = data[found.end() - 1], found.end()
        if marker == 0xD9:
            if size is None:
                raise IndexError
            return size
        (length,) = struct.unpack_from(">H", data, at)
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 3)
            size = (width, height)
        at += length


def _walk_png(data: bytes) -> tuple[int, int]:
    """Follow the chunks to IEND (PNG specification, section 5)."""
    width, height = struct.unpack_from(">II", data, 16)
    at = 8
    while True:
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IEND":
            return width, height
        at += 12 + length
