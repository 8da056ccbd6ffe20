"""Puppet: a face from a picture that answers challenges as prompted.

Takes in one `Sample` of a picture, hands on samples of the same face turned, raised, its mouth open
or its eyes shut, by moving the mesh in space and painting the eyelids. No camera could film it; it
represents a person whose answers are perfect, so that attempts which must fail for another reason,
above all a swap of the face, can be tried hundreds of times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from edgeface.liveness.gestures import Gesture
from edgeface.liveness.sample import UNIT, Sample

RATE = 10.0
_RIGHT_EYE, _LEFT_EYE = (33, 133), (362, 263)


class Puppet:
    """A face that can be posed."""

    def __init__(self, sample: Sample, random: np.random.Generator) -> None:
        self._sample, self._random = sample, random

    def pose(
        self, time: float, left: float = 0, up: float = 0, mouth: float = 0, shut: bool = False
    ) -> Sample:
        """The face at a time: degrees to its own left and up, mouth open by eyes' distances."""
        rest = self._sample
        solid = np.column_stack((rest.points, rest.depth)).astype(np.float64)
        middle = solid.mean(axis=0)
        a, b = np.radians((-left, up))
        about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        about_x = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
        turned = (solid - middle) @ (about_y @ about_x).T + middle
        turned[14, 1] += mouth * UNIT
        turned[:, :2] += self._random.normal(0, 0.15, (len(turned), 2))
        crop = _lids(rest) if shut else rest.crop
        return replace(
            rest,
            time=time,
            points=turned[:, :2].astype(np.float32),
            depth=turned[:, 2].astype(np.float32),
            crop=crop,
        )

    def answer(self, time: float, gesture: Gesture | None, since: float) -> Sample:
        """The face `since` seconds after a prompt for `gesture` (None: for rest)."""
        amount = float(np.clip((since - 0.5) / 0.5, 0, 1)) if gesture else 0.0
        blinking = gesture is Gesture.BLINK and since > 0.5 and int((since - 0.5) / 0.2) % 2 == 0
        return self.pose(
            time,
            left=_TURNS.get(gesture, 0) * amount,
            up=18 * amount if gesture is Gesture.UP else 0,
            mouth=0.3 * amount if gesture is Gesture.MOUTH else 0,
            shut=blinking,
        )


_TURNS: dict[Gesture | None, float] = {Gesture.LEFT: 25, Gesture.RIGHT: -25}  # degrees


def _lids(sample: Sample) -> np.ndarray:
    crop = sample.crop.copy()
    for corners in (_RIGHT_EYE, _LEFT_EYE):
        middle = sample.points[list(corners)].mean(axis=0)
        skin = int(crop[int(middle[1]) + 14, int(middle[0])])
        cv2.ellipse(crop, tuple(int(n) for n in middle), (13, 7), 0, 0, 360, skin, -1)
    return crop


def instants(seconds: float, start: float = 0.0) -> Iterator[float]:
    """Times of the samples."""
    for number in range(round(seconds * RATE)):
        yield start + number / RATE
