"""Squares: which squares of a frame to search for faces, from the whole to the small ones.

Takes in the size of a frame and of the smallest face wanted, hands on `Square`s by level. It runs
no network and reads no picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from edgeface.pipeline.geometry import Box

SURELY_FOUND = 0.15  # of a square's side: from this width a face in it is hardly ever missed
_SMALLEST_FOUND = 1 / 8  # of a square's side: the smallest face that the network finds in it
_MARGIN = 1.1  # of a face's width: what neighbouring squares share, so that one has it whole
_CLOSER = 2.2  # side of the square around a face over the face's width, which fills 0.45 of it


@dataclass(frozen=True)
class Square:
    """A square of the frame to search; what lies outside the frame is black."""

    x: int
    y: int
    side: int


def around(box: Box) -> Square:
    """The square in which a face with this box is found best."""
    side = max(1, round(_CLOSER * box.width))
    step = 1 << max(0, (side // 128).bit_length() - 1)  # such sides halve without a remainder
    side = -(-side // step) * step
    return Square(round(box.centre.x - side / 2), round(box.centre.y - side / 2), side)


def levels(width: int, height: int, smallest: float | None) -> Iterator[list[Square]]:
    """The whole frame as one square, then ever smaller squares down to faces of `smallest`.

    Each level is made for faces down to half the size that the one before finds. Its squares
    overlap by the widest face which that one may miss, and are as small as their number allows.
    """
    side = max(width, height)
    yield [Square((width - side) // 2, (height - side) // 2, side)]
    while smallest is not None and side * _SMALLEST_FOUND > smallest:
        shared = _MARGIN * SURELY_FOUND * side
        most = max(side / 2, smallest / _SMALLEST_FOUND)
        columns, rows = (
            max(1, math.ceil((length - shared) / (most - shared))) for length in (width, height)
        )
        needed = max((width - shared) / columns, (height - shared) / rows) + shared
        side = min(math.floor(most), math.ceil(needed))
        yield [
            Square(x, y, side)
            for y in _spread(height, side, rows)
            for x in _spread(width, side, columns)
        ]


def _spread(length: int, side: int, count: int) -> list[int]:
    """Where `count` squares of `side` start so that they cover `length` evenly."""
    if count == 1:
        return [(length - side) // 2]
    return [round((length - side) * n / (count - 1)) for n in range(count)]
