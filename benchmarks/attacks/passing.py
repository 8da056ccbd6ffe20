"""Passing: something that moves between a picture and the camera, or a shadow or light upon it.

Takes in a random generator, hands on frames (uint8 BGR) with the thing drawn over them at a time.
A print with a finger before it shows changes where a face has its eyes and mouth, and none of them
is alive. Lengths are in half-widths of the sheet, from its middle.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.pictures import Picture

Thing = Literal["finger", "hand", "leaf", "shadow", "light"]

_MOUTH, _EYES, _CHEEK = (0.0, 0.17), (0.0, -0.06), (0.15, 0.06)  # of an LFW picture's face


class Passing:
    """One thing and its way; `over` draws it."""

    def __init__(self, thing: Thing, random: np.random.Generator) -> None:
        self._thing, self._random = thing, random
        aims = (_MOUTH, _MOUTH, _EYES, _CHEEK)
        self._aim = np.array(aims[int(random.integers(len(aims)))]) + random.normal(0, 0.04, 2)
        self._direction = float(random.uniform(0, 2 * np.pi))  # where the hand comes from
        self._reach = float(random.uniform(0.15, 0.6))
        self._rate = float(random.uniform(0.25, 1.2))
        self._phase = float(random.uniform(0, 2 * np.pi))
        self._along = bool(random.random() < 0.5)  # moves along its own length, or across
        self._width = float(random.uniform(0.05, 0.11))
        self._soft = float(random.uniform(0.6, 2.5))
        self._colour = np.array((110, 140, 190)) * random.uniform(0.5, 1.3)
        if thing == "leaf":
            self._colour = np.array((40, 120, 60)) * random.uniform(0.5, 1.6)
        self._depth = float(random.uniform(0.3, 0.75))

    def over(
        self, frame: Picture, middle: tuple[float, float], half_width: float, time: float
    ) -> Picture:
        """`frame` with the thing over it; the sheet's middle and half-width in pixels."""
        mask = self._mask(frame.shape[:2], middle, half_width, time)
        if self._thing in {"shadow", "light"}:
            soft = cv2.GaussianBlur(mask, (0, 0), 2 + 4 * self._soft)
            gain = 1 - self._depth * soft if self._thing == "shadow" else 1 + self._depth * soft
            if self._thing == "light":
                gain = gain * (1 + 0.15 * np.sin(2 * np.pi * 3.1 * time + self._phase))
            lit = cv2.multiply(frame, cv2.merge([gain.astype(np.float32)] * 3), dtype=cv2.CV_8U)
            return np.asarray(lit, np.uint8)
        soft = cv2.GaussianBlur(mask, (0, 0), self._soft)
        shade = 1 - 0.35 * cv2.GaussianBlur(
            1 - mask, (0, 0), max(1.0, 0.4 * self._width * half_width)
        )
        thing = np.clip(self._colour * shade[..., None], 0, 255).astype(np.uint8)
        return np.asarray(cv2.blendLinear(thing, frame, soft, 1 - soft), np.uint8)

    def _mask(
        self, shape: tuple[int, int], middle: tuple[float, float], half_width: float, time: float
    ) -> NDArray[np.float32]:
        mask: NDArray[np.uint8] = np.zeros(shape, np.uint8)
        way = np.array((np.cos(self._direction), np.sin(self._direction)))
        across = np.array((-way[1], way[0]))
        moved = self._reach * np.sin(2 * np.pi * self._rate * time + self._phase)
        tip = self._aim + moved * (way if self._along else across)
        if self._thing == "hand":
            for finger in range(4):
                start = (
                    tip + across * (finger - 1.5) * 2.2 * self._width + way * 0.04 * (finger % 2)
                )
                self._limb(mask, start, way, middle, half_width)
            palm = tip + way * 0.5
            self._blob(mask, palm, 0.26, 0.24, middle, half_width)
        elif self._thing == "leaf":
            self._blob(mask, tip, 0.3, 0.12, middle, half_width)
        elif self._thing == "light":
            self._blob(mask, tip, 0.25, 0.2, middle, half_width)
        else:
            self._limb(mask, tip, way, middle, half_width)
        return np.asarray(mask.astype(np.float32) / 255)

    def _limb(
        self,
        mask: NDArray[np.uint8],
        tip: NDArray[np.float64],
        way: NDArray[np.float64],
        middle: tuple[float, float],
        half_width: float,
    ) -> None:
        ends = [np.array(middle) + half_width * place for place in (tip, tip + 2.5 * way)]
        one, other = (tuple(int(n) for n in np.round(end)) for end in ends)
        cv2.line(mask, one, other, 255, max(2, round(2 * self._width * half_width)))

    def _blob(
        self,
        mask: NDArray[np.uint8],
        place: NDArray[np.float64],
        length: float,
        width: float,
        middle: tuple[float, float],
        half_width: float,
    ) -> None:
        centre = tuple(int(n) for n in np.round(np.array(middle) + half_width * place))
        axes = (max(1, round(length * half_width)), max(1, round(width * half_width)))
        cv2.ellipse(mask, centre, axes, np.degrees(self._direction), 0, 360, 255, -1)
