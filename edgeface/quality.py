"""Quality: how fit a detected face is to be judged, in numbers and in words for a person.

Takes in a `Face` and its aligned crop, hands on a `Quality`; enrollment refuses what has a reason
against it. It decides nothing about identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edgeface.detect import Face
from edgeface.pictures import Picture

SMALLEST_FACE = 64  # pixels between the box's sides; smaller ones lose detail in the network
MOST_ROLL = 45.0  # degrees; the detector's landmarks drift beyond
LEAST_SHARPNESS = 12.0
DARKEST, BRIGHTEST = 30.0, 230.0


@dataclass(frozen=True)
class Quality:
    """What was measured on one face.

    width: box width in pixels; roll: degrees, clockwise tilt of the eye line; sharpness: standard
    deviation of the Laplacian over the crop; brightness: mean grey level 0 to 255; score: 0 (unfit)
    to 1 (good) from the worst of them; reasons: why it should not be enrolled, empty if it may.
    """

    width: float
    roll: float
    sharpness: float
    brightness: float
    score: float
    reasons: tuple[str, ...]


def assess(face: Face, crop: Picture) -> Quality:
    """Measure one face on its aligned crop (uint8 BGR, shape (size, size, 3))."""
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    brightness = float(grey.mean())
    sharpness = float(np.std(cv2.Laplacian(grey, cv2.CV_16S)))
    width = face.box.width
    roll = math.degrees(
        math.atan2(face.left_eye.y - face.right_eye.y, face.left_eye.x - face.right_eye.x)
    )
    reasons = []
    if width < SMALLEST_FACE:
        reasons.append(f"face {width:.0f} px wide, need {SMALLEST_FACE}: come closer")
    if abs(roll) > MOST_ROLL:
        reasons.append(f"head tilted {abs(roll):.0f} degrees: hold it upright")
    if sharpness < LEAST_SHARPNESS:
        reasons.append("too blurry: hold still")
    if brightness < DARKEST:
        reasons.append("too dark: add light")
    if brightness > BRIGHTEST:
        reasons.append("too bright: less light on the face")
    score = min(
        1.0,
        width / (2 * SMALLEST_FACE),
        sharpness / (2 * LEAST_SHARPNESS),
        1 - abs(roll) / (2 * MOST_ROLL),
        brightness / (2 * DARKEST),
        (255 - brightness) / (255 - BRIGHTEST) / 2,
    )
    return Quality(width, roll, sharpness, brightness, max(0.0, score), tuple(reasons))
