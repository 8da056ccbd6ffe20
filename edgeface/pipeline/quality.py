"""Quality: how fit a detected face is for comparison, in numbers and in words for a person.

Takes in a `Face`, its aligned crop and where the eyes are in it, hands on a `Quality`; enrollment
rejects a face that has any `reasons`. It decides nothing about identity.

The limits were measured on LFW View 1: 1,800 pictures, their crops blurred and darkened step by
step, and the effect on the embedding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.detect import Face
from edgeface.pipeline.model_file import AlignmentSpec
from edgeface.pipeline.pictures import Picture

SMALLEST_FACE = 64  # pixels, width of the box; smaller faces lack detail for the network
MOST_ROLL = 45.0  # degrees; beyond it the detector's landmarks drift
MOST_YAW = 35.0  # degrees; 1 % of press photographs are turned further than 32
LEAST_SHARPNESS = 0.12  # a blur that costs 0.15 of the cosine; every 1,000th picture is below 0.16
DARKEST, BRIGHTEST = 30.0, 230.0
LEAST_SKIN = 0.5  # below: 17 pairs of dark glasses and one deeply shaded face in 1,800

_NOSE_DEPTH = 0.77  # of the distance between the eyes; fitted to the face mesh's yaw, 2 degrees off

Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class Quality:
    """What was measured on one face.

    width: box width in pixels; roll: degrees, clockwise tilt of the eye line; yaw: degrees, the
    turn of the head to a side; sharpness: standard deviation of the Laplacian at half size over
    that of the grey levels; brightness: mean grey level 0 to 255; skin: brightness below the eyes
    over that of the cheeks (dark glasses cover it); score: 0 (unfit) to 1 (good), by the worst of
    them; reasons: why it should not be enrolled, empty if it may.
    """

    width: float
    roll: float
    yaw: float
    sharpness: float
    brightness: float
    skin: float
    score: float
    reasons: tuple[str, ...]


def assess(face: Face, crop: Picture, alignment: AlignmentSpec) -> Quality:
    """Measure one face on its aligned crop (uint8 BGR, shape (size, size, 3))."""
    grey: Grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)  # type: ignore[assignment]
    brightness = float(grey.mean())
    sharpness = _sharpness(grey)
    skin = _skin_below_eyes(grey, alignment)
    width = face.box.width
    across, down = face.left_eye.x - face.right_eye.x, face.left_eye.y - face.right_eye.y
    roll = math.degrees(math.atan2(down, across))
    yaw = _yaw(face, across, down)
    reasons = []
    if width < SMALLEST_FACE:
        reasons.append(f"face {width:.0f} px wide, need {SMALLEST_FACE}: come closer")
    if abs(roll) > MOST_ROLL:
        reasons.append(f"head tilted {abs(roll):.0f} degrees: hold it upright")
    if abs(yaw) > MOST_YAW:
        reasons.append(f"turned {abs(yaw):.0f} degrees: look at the camera")
    if sharpness < LEAST_SHARPNESS:
        reasons.append("too blurry: hold still")
    if brightness < DARKEST:
        reasons.append("too dark: add light")
    if brightness > BRIGHTEST:
        reasons.append("too bright: less light on the face")
    if skin < LEAST_SKIN:
        reasons.append("eyes hidden: take off dark glasses")
    score = min(
        1.0,
        width / (2 * SMALLEST_FACE),
        sharpness / (2 * LEAST_SHARPNESS),
        1 - abs(roll) / (2 * MOST_ROLL),
        1 - abs(yaw) / (2 * MOST_YAW),
        brightness / (2 * DARKEST),
        (255 - brightness) / (255 - BRIGHTEST) / 2,
        skin / (2 * LEAST_SKIN),
    )
    return Quality(width, roll, yaw, sharpness, brightness, skin, max(0.0, score), tuple(reasons))


def _yaw(face: Face, across: float, down: float) -> float:
    """Degrees, from how far the nose is off the middle between the eyes, along their line."""
    squared = max(across**2 + down**2, 1e-9)
    offset = (face.nose.x - (face.right_eye.x + face.left_eye.x) / 2) * across
    offset += (face.nose.y - (face.right_eye.y + face.left_eye.y) / 2) * down
    return math.degrees(math.atan(offset / squared / _NOSE_DEPTH))


def _sharpness(grey: Grey) -> float:
    """Fine detail over all detail, at half size, where even an enlarged small face has some."""
    size = (grey.shape[1] // 2, grey.shape[0] // 2)
    half = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return _deviation(cv2.Laplacian(half, cv2.CV_16S)) / max(_deviation(grey), 1.0)


def _deviation(values: NDArray[Any]) -> float:
    return float(cv2.meanStdDev(values)[1][0, 0])


def _skin_below_eyes(grey: Grey, alignment: AlignmentSpec) -> float:
    """Brightness just below the eyes over that of the cheeks, at the brighter of the two eyes."""
    side = grey.shape[0]
    shares = []
    for x, y in (alignment.right_eye, alignment.left_eye):
        below = _part(grey, side, (x - 0.08, y + 0.03), (x + 0.08, y + 0.075))
        cheek = _part(grey, side, (x - 0.065, y + 0.19), (x + 0.065, y + 0.29))
        shares.append(_quantile(below, 0.75) / max(_quantile(cheek, 0.5), 1.0))
    return max(shares)


def _quantile(values: Grey, share: float) -> float:
    ordered = np.sort(values, axis=None)  # a quarter of the time that np.percentile takes
    return float(ordered[int(share * (ordered.size - 1))])


def _part(grey: Grey, side: int, corner: tuple[float, float], end: tuple[float, float]) -> Grey:
    """A rectangle of the crop, given as fractions of its side; at least one pixel."""
    left, top = (min(max(int(edge * side), 0), side - 1) for edge in corner)
    right, bottom = (max(int(edge * side), 0) for edge in end)
    return grey[top : max(bottom, top + 1), left : max(right, left + 1)]
