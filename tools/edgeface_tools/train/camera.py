"""Imitates a camera that is worse than the one that took the pictures.

Takes in an aligned crop and a `Camera`, hands on a crop of the same face as that camera might have
taken it. The order is that of a camera: motion or focus blur, few pixels, no colour, little light,
noise, 8 bits. Every copy differs a little in each of these, and in how exactly the face was found.
All random numbers come from the given generator.
"""

from __future__ import annotations

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeface.errors import ConfigError
from edgeface.pipeline.pictures import Picture

FACE_SHARE = 0.83
"""Width of the detector's box on an aligned crop, as a share of the crop's side: the median over
LFW View 1 train."""

_SPREAD = 0.2  # of each strength, up and down: conditions vary
# How differently a face is found in a good picture and in one of a night camera, on LFW View 1
# train (40 pixels across the face, noise 8): deviations of the angle in degrees, of the scale as a
# share, of the position in shares of the side.
_ROLL, _ZOOM, _SHIFT = 3.6, 0.05, 0.018


class Camera(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a camera does to a picture; the defaults do nothing.

    grey: no colour. face_width: pixels across the face, 0 for as many as the picture has. gamma:
    brightness b, 0 to 1, becomes b^(1/gamma), so 0.5 is dark and 2 is bright. noise: deviation of
    Gaussian noise, in grey levels of 255, pixel by pixel of the small picture. blur: deviation of a
    Gaussian blur, in pixels of the small picture.
    """

    grey: bool = False
    face_width: float = 0.0
    gamma: float = 1.0
    noise: float = 0.0
    blur: float = 0.0

    def __post_init__(self) -> None:
        if self.gamma <= 0 or min(self.face_width, self.noise, self.blur) < 0:
            raise ConfigError(
                "the camera to imitate needs a gamma above 0, and a face width, noise and blur of "
                "0 or more"
            )


def imitate(crop: Picture, camera: Camera, random: np.random.Generator) -> Picture:
    """A copy of an aligned crop (uint8 BGR, shape (size, size, 3)) as the camera might give it.

    Half of the copies are mirrored, and each is turned, shifted and zoomed by about what separates
    two detections of one face.
    """
    size = crop.shape[0]
    seen = _found_elsewhere(crop, random)
    width = _about(camera.face_width, random)
    share = min(1.0, width / (FACE_SHARE * size)) if width else 1.0
    side = max(8, round(share * size))
    resized = cv2.resize(seen, (side, side), interpolation=cv2.INTER_AREA)
    small: NDArray[np.float64] = resized.astype(np.float64)
    if blur := _about(camera.blur, random):
        blurred = cv2.GaussianBlur(small, (0, 0), blur, borderType=cv2.BORDER_REPLICATE)
        small = blurred.astype(np.float64)
    small /= 255
    if camera.grey:
        small = np.repeat((small @ (0.114, 0.587, 0.299))[..., None], 3, axis=2)
    small = 255 * small ** (1 / (camera.gamma ** random.uniform(1 - _SPREAD, 1 + _SPREAD)))
    noise = random.normal(0, 1, (side, side, 1 if camera.grey else 3))
    small += _about(camera.noise, random) * noise
    pixels = np.rint(small).clip(0, 255).astype(np.uint8)
    enlarged = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.uint8)


def _found_elsewhere(crop: Picture, random: np.random.Generator) -> Picture:
    size = crop.shape[0]
    seen = np.ascontiguousarray(crop[:, ::-1]) if random.random() < 0.5 else crop
    middle = (size - 1) / 2
    zoom = float(np.exp(random.normal(0, _ZOOM)))
    rotation = cv2.getRotationMatrix2D((middle, middle), random.normal(0, _ROLL), zoom)
    matrix = np.asarray(rotation, np.float64)
    matrix[:, 2] += random.normal(0, _SHIFT * size, 2)
    moved = cv2.warpAffine(
        seen, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)


def _about(strength: float, random: np.random.Generator) -> float:
    return strength * random.uniform(1 - _SPREAD, 1 + _SPREAD)
