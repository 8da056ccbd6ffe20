"""Geometry shared by the stations: points, boxes and upright squares, all in pixels.

Takes in and hands on plain numbers; reads no picture and runs no network.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Point(NamedTuple):
    """A position in pixels, (x, y): x to the right, y downwards."""

    x: float
    y: float


class Box(NamedTuple):
    """A rectangle in pixels, (x, y, width, height): its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> Point:
        """The middle of the rectangle."""
        return Point(self.x + self.width / 2, self.y + self.height / 2)


def contains(box: Box, point: Point) -> bool:
    """Whether a point lies in a box."""
    return 0 <= point.x - box.x <= box.width and 0 <= point.y - box.y <= box.height


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one.width * one.height + other.width * other.height - shared)


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The similarity transform (rotation, one scale, shift) that best maps source on target.

    Both have shape (n, 2), n >= 2. Returns a matrix of shape (2, 3) for cv2.warpAffine. Least
    squares in closed form: with points as complex numbers, the best a in z -> a z + b is
    sum(conj(s) t) / sum(|s|^2) over centred points (the reflection-free case of Umeyama 1991,
    "Least-squares estimation of transformation parameters between two point patterns", eq. 40-42).
    Raises ValueError when all source points coincide.
    """
    z, w = source @ (1, 1j), target @ (1, 1j)
    centred = z - z.mean()
    spread = float(np.vdot(centred, centred).real)
    if spread == 0:
        raise ValueError("the points coincide: no similarity transform is defined")
    a = complex(np.vdot(centred, w - w.mean())) / spread
    b = complex(w.mean() - a * z.mean())
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def apply(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map points of shape (..., 2) by an affine matrix of shape (2, 3)."""
    mapped: NDArray[np.float64] = points @ matrix[:, :2].T + matrix[:, 2]
    return mapped


def inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of an affine matrix of shape (2, 3)."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack((linear, -linear @ matrix[:, 2]))
