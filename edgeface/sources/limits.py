"""Limits: a video or stream whose frames are too large is known by its header, and not read.

Takes in an open capture, hands on a sentence, or None. It reads no frame.
"""

from __future__ import annotations

import cv2

from edgeface.pipeline.containers import MOST_MEGAPIXELS


def too_large(capture: cv2.VideoCapture) -> str | None:
    """What is wrong with the size of its frames, as the rest of a sentence."""
    width = round(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
    height = round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height <= MOST_MEGAPIXELS * 1_000_000:
        return None
    return f"has frames of {width}x{height}, more than {MOST_MEGAPIXELS} megapixels"
