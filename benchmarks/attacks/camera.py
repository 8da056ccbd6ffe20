"""Camera: what an inexpensive camera does to a scene, from light to decoded picture.

Takes in rendered frames (uint8 BGR, shape (H, W, 3)), hands on what a camera would have delivered:
blurred, noisy, with drifting exposure, compressed. One instance is one camera with its own faults.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from edgeface.pipeline.pictures import Picture


@dataclass(frozen=True)
class Faults:
    """blur: sigma of the optics in pixels; noise: deviation in grey levels; quality: of JPEG;
    flicker: relative deviation of the exposure; sharpen: strength of the camera's own unsharp mask;
    gamma and colour: of the sensor."""

    blur: float
    noise: float
    quality: int
    flicker: float
    sharpen: float
    gamma: float
    colour: tuple[float, float, float]


def draw_faults(random: np.random.Generator) -> Faults:
    """Faults of one camera, from good to poor."""
    return Faults(
        blur=float(random.uniform(0.0, 1.2)),
        noise=float(random.uniform(1.0, 7.0)),
        quality=int(random.integers(45, 95)),
        flicker=float(random.uniform(0.0, 0.02)),
        sharpen=float(random.uniform(0.0, 0.6)),
        gamma=float(random.uniform(0.75, 1.35)),
        colour=tuple(random.uniform(0.92, 1.08, 3)),
    )


class Camera:
    """A camera with its faults; `take` is called once per frame."""

    def __init__(self, faults: Faults, random: np.random.Generator) -> None:
        self.faults, self._random = faults, random
        self._field: NDArray[np.int16] | None = None
        levels = (np.arange(256) / 255) ** faults.gamma * 255
        self._curve = np.stack([np.clip(levels * c, 0, 255) for c in faults.colour], axis=-1)

    def take(self, scene: Picture) -> Picture:
        """One delivered frame of a scene."""
        faults = self.faults
        picture: MatLike = scene
        if faults.blur > 0.2:
            picture = cv2.GaussianBlur(picture, (0, 0), faults.blur)
        exposure = 1 + faults.flicker * self._random.standard_normal()
        curve = np.clip(self._curve * exposure, 0, 255).astype(np.uint8)
        picture = cv2.LUT(picture, curve.reshape(256, 1, 3))
        if faults.sharpen > 0.05:
            soft = cv2.GaussianBlur(picture, (0, 0), 1.5)
            picture = cv2.addWeighted(picture, 1 + faults.sharpen, soft, -faults.sharpen, 0)
        picture = cv2.add(picture, self._noise(picture.shape[:2]), dtype=cv2.CV_8U)
        _, packed = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, faults.quality))
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)

    def _noise(self, shape: tuple[int, int]) -> NDArray[np.int16]:
        """Noise of one frame: a window at random in a larger field, drawn once."""
        if self._field is None:
            self._field = np.empty((shape[0] + 64, shape[1] + 64, 3), np.int16)
            cv2.setRNGSeed(int(self._random.integers(1 << 30)))
            cv2.randn(self._field, np.zeros(3), np.full(3, self.faults.noise))
        y, x = self._random.integers(0, 64, 2)
        return self._field[y : y + shape[0], x : x + shape[1]]
