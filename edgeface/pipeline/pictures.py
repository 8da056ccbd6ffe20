"""Pictures: the one place that turns a file or a caller's array into a frame.

Takes in a path, a file's bytes, an open binary file or an array, hands on a frame: uint8 BGR, shape
(H, W, 3), upright. Grey, alpha and 16-bit pictures become that; a file that is cut short or
damaged inside is refused, since a half-grey face is not the face, and so is one that takes more
memory than a small board has: size and needs are known before anything is decoded. It finds no
faces and keeps nothing.
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.errors import PictureError
from edgeface.pipeline.containers import KINDS, MOST_MEMORY, CutShort, Layout, Unfit, layout_of
from edgeface.pipeline.foreign import decode, format_of
from edgeface.system.chatter import overheard

Picture = NDArray[np.uint8]
"""A frame: uint8, shape (H, W, 3), channels blue, green, red."""


class BinaryFile(Protocol):
    """What of a file that is open for reading in binary mode is needed here."""

    def read(self, size: int, /) -> bytes:
        """At most so many of the bytes that are left."""


ImageInput = str | PathLike[str] | bytes | bytearray | memoryview | BinaryFile | NDArray[np.uint8]
"""A picture as a caller may give it: a path, a picture file's bytes, such a file open for reading
in binary mode, or an array (uint8, shape (H, W, 3))."""

# What decoders print when they fill with grey what they cannot read; they hand on the rest.
_DAMAGE = re.compile(
    rb"Corrupt JPEG data|Premature end|Inconsistent progression|libpng error|CRC error|TIFF_Error"
    rb"|[Nn]ot enough data|[Dd]ecod(?:e|ing) error|[Rr]ead error|[Bb]ad code"
)
_LOST = 4096  # zero bytes in a row, a block that was never written: no encoder writes as many
_UNNAMED = "data"  # what error sentences call a picture that has no path
_UPRIGHT: dict[int, tuple[int | None, int | None]] = {
    # EXIF's orientation: how to turn the stored picture, then how to mirror it.
    2: (None, 1),
    3: (cv2.ROTATE_180, None),
    4: (None, 0),
    5: (cv2.ROTATE_90_CLOCKWISE, 1),
    6: (cv2.ROTATE_90_CLOCKWISE, None),
    7: (cv2.ROTATE_90_COUNTERCLOCKWISE, 1),
    8: (cv2.ROTATE_90_COUNTERCLOCKWISE, None),
}


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

    Raises PictureError when the file is missing, empty, no picture, cut short, or too large to be
    decoded on a small board (25 megapixels, 160 MB).
    """
    return decode_picture(_content(path), str(path))


def _content(path: Path) -> bytes:
    try:
        ordinary = path.is_file() or not path.exists()  # reading a pipe or a device may never end
        if ordinary:
            with path.open("rb") as file:
                return file.read(MOST_MEMORY + 1)
    except FileNotFoundError:
        raise PictureError(f"there is no picture {path}; check the path") from None
    except OSError as error:
        raise PictureError(f"cannot read the picture {path}: {error.strerror}") from None
    except ValueError:
        raise PictureError(f"{str(path)!r} is not a path; check it") from None
    raise PictureError(f"cannot read the picture {path}: it is no ordinary file")


def _read_file(file: BinaryFile) -> Picture:
    """Read a picture from a file that the caller has opened, and closes."""
    name = getattr(file, "name", None)
    name = name if isinstance(name, str) else _UNNAMED
    try:
        data = file.read(MOST_MEMORY + 1)
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise PictureError(f"cannot read the picture {name}: {error}") from None
    if not isinstance(data, bytes):
        raise PictureError(
            f"cannot read the picture {name}: it is a text file; open it in binary mode, 'rb'"
        )
    return decode_picture(data, name)


def decode_picture(data: bytes, name: str = _UNNAMED) -> Picture:
    """A frame from the bytes of a picture file, as `read_picture`; error sentences use `name`.

    Raises PictureError as `read_picture` does.
    """
    layout = _layout(data, name)
    if not isinstance(layout, Layout):
        return layout
    del data  # the layout has what is needed of it
    with overheard() as chatter:  # libjpeg, libpng and libtiff print what is wrong with a file
        frame = _decoded(layout)
    if frame is None or any(map(_DAMAGE.search, chatter.lines)) or _is_lost(layout.data):
        raise PictureError(f"the picture {name} is damaged and cannot be read; use another copy")
    return _upright(frame, layout.orientation)


def decode_frame(data: bytes, name: str) -> Picture:
    """One of a stream's pictures, as `decode_picture` decodes it, except that a decoder's warning
    is no reason to refuse it: some cameras give one with every picture, and the next follows."""
    layout = _layout(data, name)
    if not isinstance(layout, Layout):
        return layout
    with overheard():
        frame = _decoded(layout)
    if frame is None:
        raise PictureError(f"the picture {name} is damaged and cannot be read; use another copy")
    return _upright(frame, layout.orientation)


def _is_lost(coded: bytes) -> bool:
    """Whether a part of a WebP file is missing in its middle: its decoder notices nothing."""
    return coded.startswith(b"RIFF") and b"\x00" * _LOST in coded


def _decoded(layout: Layout) -> Picture | None:
    """The picture as stored; None where it cannot be decoded, or to another size."""
    coded = np.frombuffer(layout.data, np.uint8)
    try:
        frame = cv2.imdecode(coded, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    fits = frame is not None and frame.shape == (layout.height, layout.width, 3)
    return frame if fits else None  # type: ignore[return-value]


def _layout(data: bytes, name: str) -> Layout | Picture:
    """What the file holds, or its picture, where another library has decoded it; PictureError when
    it is not to be decoded.

    Decoders would fill what is missing with grey and say nothing, and unpack any size.
    """
    if not data:
        raise PictureError(f"the picture {name} is empty (0 bytes); take or copy it again")
    if len(data) > MOST_MEMORY:
        raise PictureError(
            f"{name} is larger than {MOST_MEMORY // 1_000_000} MB; make the picture smaller first"
        )
    try:
        layout = layout_of(data)
    except CutShort:
        raise PictureError(f"the picture {name} is cut short; copy or take it again") from None
    except Unfit as unfit:
        raise PictureError(f"the picture {name} {unfit}") from None
    if layout is not None:
        return layout
    known = format_of(data)
    if known is None:
        raise PictureError(f"{name} is not a picture; {KINDS} files can be read")
    try:
        return decode(data, known)
    except Unfit as unfit:
        raise PictureError(f"the picture {name} {unfit}") from None


def _upright(frame: Picture, orientation: int) -> Picture:
    turn, mirror = _UPRIGHT.get(orientation, (None, None))
    if turn is not None:
        frame = cv2.rotate(frame, turn)  # type: ignore[assignment]
    if mirror is not None:
        cv2.flip(frame, mirror, dst=frame)
    return frame
