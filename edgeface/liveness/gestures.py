"""Gestures: what a head does, measured against the same head at rest.

Takes in `Sample`s, hands on `Motion`s: how far the head is turned and raised, how far the mouth is
open and whether the eyes are shut, all relative to a sample at rest. It prompts for nothing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from edgeface.liveness.register import Anchor, turn_between
from edgeface.liveness.sample import UNIT, Sample

_TURNED, _RAISED = 14.0, 9.0  # degrees
_OPEN = 0.16  # of the distance between the eyes' outer corners, more than at rest
_SHUT, _AGAIN_OPEN = 0.08, 0.04  # change of the eyes beyond what a shift explains
_REST_TURN, _REST_OPEN = 8.0, 0.08
_CALM = 0.03  # change of the nose: above it the registration is not to be trusted


class Gesture(enum.StrEnum):
    """What a challenge may ask for; left and right are the person's own."""

    LEFT = "turn your head to the left"
    RIGHT = "turn your head to the right"
    UP = "look up"
    MOUTH = "open your mouth"
    BLINK = "blink twice"


@dataclass(frozen=True)
class Motion:
    """left: degrees towards the person's own left; up: degrees; open: of the mouth, in distances
    between the eyes' outer corners; shut: whether the eyes are shut, None where that is unknown."""

    left: float
    up: float
    open: float
    shut: bool | None

    @property
    def at_rest(self) -> bool:
        """Whether the head is back at rest."""
        return (
            abs(self.left) < _REST_TURN
            and abs(self.up) < _REST_TURN
            and abs(self.open) < _REST_OPEN
            and not self.shut
        )

    def shows(self, gesture: Gesture) -> bool:
        """Whether this is the gesture; for BLINK whether the eyes are shut."""
        return {
            Gesture.LEFT: self.left >= _TURNED,
            Gesture.RIGHT: self.left <= -_TURNED,
            Gesture.UP: self.up >= _RAISED and abs(self.left) < _TURNED,
            Gesture.MOUTH: self.open >= _OPEN,
            Gesture.BLINK: bool(self.shut),
        }[gesture]


class Rest:
    """A head at rest, to measure later samples against."""

    def __init__(self, sample: Sample) -> None:
        self._sample, self._anchor = sample, Anchor(sample)
        self._shut = False

    def motion(self, later: Sample) -> Motion:
        """How `later` differs from the head at rest."""
        rotation = turn_between(self._sample, later)
        # A point in front of the head's middle (depth < 0) moves the way the head turns.
        left = -np.degrees(np.arcsin(np.clip(rotation[0, 2], -1, 1)))
        up = np.degrees(np.arcsin(np.clip(rotation[1, 2], -1, 1)))
        comparison = self._anchor.compare(later, rotation)
        shut: bool | None = None
        if comparison is not None and comparison.nose < _CALM:
            change = comparison.eyes - 2 * comparison.nose
            shut = change > (_AGAIN_OPEN if self._shut else _SHUT)
            self._shut = shut
        return Motion(float(left), float(up), _gap(later) - _gap(self._sample), shut)


def _gap(sample: Sample) -> float:
    """Between the lips, in distances between the eyes' outer corners."""
    return float(np.linalg.norm(sample.points[13] - sample.points[14])) / UNIT
