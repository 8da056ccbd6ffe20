"""Reads pictures for the tests as OpenCV does, without what the product adds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgeface.pipeline.pictures import Picture


def read_image(path: Path) -> Picture:
    """The pixels of a file, uint8 BGR, shape (H, W, 3); the test fails where there is none."""
    pixels = cv2.imread(str(path))
    assert pixels is not None, f"{path} is no picture"
    return np.asarray(pixels, np.uint8)


def blotches(seed: int) -> Picture:
    """An oval with a few dark spots on grey, 240 x 240: what a detector takes for a face now and
    then."""
    random = np.random.default_rng(seed)
    picture = np.full((240, 240, 3), 90, np.uint8)
    skin = [int(random.integers(60, 200))] * 3
    cv2.ellipse(picture, (120, 120), (50, 60), 0, 0, 360, skin, -1)
    for _ in range(int(random.integers(2, 5))):
        x, y = (int(shift) for shift in (random.integers(-35, 36), random.integers(-40, 41)))
        axes = (int(random.integers(4, 16)), int(random.integers(3, 9)))
        dark = [int(random.integers(0, 120))] * 3
        cv2.ellipse(picture, (120 + x, 120 + y), axes, 0, 0, 360, dark, -1)
    return picture
