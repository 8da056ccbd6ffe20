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
