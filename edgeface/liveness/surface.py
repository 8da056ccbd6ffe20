"""Surface: whether a face is seen through a screen's pixel grid.

Takes in `Sample`s, hands on the strength of the strongest regular pattern in the skin. A grid, and
its moire with the camera's own, puts narrow peaks into the spectrum, which skin, paper and noise do
not. It can only count against a face: a fine screen, or one out of focus, shows no grid.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.liveness.sample import Sample

GRID_NEEDED = (
    40.0  # times the mean power at its frequency; over 18 clips of living people at most 37
)
_EVERY, _KEPT, _FEWEST = 3, 7, 3  # one sample in three; the median of seven, of three at least

_SIDE = 96
_WINDOW = np.outer(np.hanning(_SIDE), np.hanning(_SIDE)).astype(np.float32)
_FREQUENCY = np.fft.fftfreq(_SIDE)
_ACROSS = _FREQUENCY[None, : _SIDE // 2 + 1]
_DOWN = _FREQUENCY[:, None]
_RADIUS = np.hypot(_ACROSS, _DOWN)
_RING = (_RADIUS * _SIDE / 2).astype(int)


def _near_eighths(frequency: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Multiples of 1/8 per pixel, where JPEG's blocks cause peaks of their own."""
    return np.asarray(np.abs((np.abs(frequency) * 8 + 0.5) % 1 - 0.5) < 0.15)


_COUNTS = (_RADIUS > 0.1) & (_RADIUS < 0.5) & ~(_near_eighths(_ACROSS) & _near_eighths(_DOWN))
_RING_SIZE = np.bincount(_RING.ravel())


def regularity(grain: NDArray[np.uint8]) -> float:
    """The strongest peak of the spectrum over the mean at its frequency; grain is (96, 96)."""
    level = grain.astype(np.float32)
    level -= cv2.GaussianBlur(level, (0, 0), 3)
    level /= np.sqrt(cv2.GaussianBlur(level * level, (0, 0), 8)) + 2
    power = np.abs(np.fft.rfft2(level * _WINDOW)) ** 2
    mean = np.bincount(_RING.ravel(), power.ravel()) / _RING_SIZE
    return float((power / (mean[_RING] + 1e-9))[_COUNTS].max())


class Surface:
    """The regularity of the last samples."""

    def __init__(self) -> None:
        self._kept: deque[float] = deque(maxlen=_KEPT)
        self._count = 0

    def add(self, sample: Sample) -> None:
        """Take in a sample; only one in three is measured."""
        if self._count % _EVERY == 0:
            self._kept.append(regularity(sample.grain))
        self._count += 1

    @property
    def grid(self) -> float:
        """The median regularity; 0 while there are too few samples."""
        return float(np.median(self._kept)) if len(self._kept) >= _FEWEST else 0.0
