"""Blind: notices a camera that delivers pictures but sees nothing.

Takes in frames, hands on a `Notice` when for a while they have been of one colour (a covered lens,
no light) or the very same (a stream that hangs), and another when it sees again. Time is the
frames' own clock. It looks at a few hundred points of a frame, in buffers of its own.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.pictures import Picture
from edgeface.sources.base import Frame

_POINTS = 48  # along the longer side
_PLAIN = 3.0  # grey levels of deviation over the whole picture; noise in the dark has less
Grey = NDArray[np.uint8]


class Blindness:
    """What the last frames showed; one source, one thread.

    after: seconds of the frames' clock without anything to see until it is said.
    """

    def __init__(self, after: float) -> None:
        self._after = after
        self._now: Grey = np.empty((0, 0), np.uint8)
        self._before: Grey = np.empty((0, 0), np.uint8)
        self._changed = np.empty((0, 0), np.bool_)
        self._mean, self._deviation = np.empty((1, 1)), np.empty((1, 1))
        self._plain_since = self._same_since = math.inf
        self._blind = False

    def see(self, frame: Frame) -> tuple[bool, str] | None:
        """Whether it has become blind (True) or sees again (False), and why; None for no change."""
        if frame.still:
            return None
        self._sample(frame.picture)
        cv2.meanStdDev(self._now, self._mean, self._deviation)
        plain = float(self._deviation[0, 0]) < _PLAIN
        np.not_equal(self._now, self._before, out=self._changed)
        same = not self._changed.any()
        self._now, self._before = self._before, self._now
        self._plain_since = _since(plain, self._plain_since, frame.time)
        self._same_since = _since(same, self._same_since, frame.time)
        return self._judge(frame.time)

    def _sample(self, picture: Picture) -> None:
        """The points of the picture's green channel, into a buffer that is used again."""
        step = max(1, max(picture.shape[:2]) // _POINTS)
        points = picture[::step, ::step, 1]
        if self._now.shape != points.shape:
            self._now, self._before = np.empty(points.shape, np.uint8), ~points
            self._changed = np.empty(points.shape, np.bool_)
        np.copyto(self._now, points)

    def _judge(self, now: float) -> tuple[bool, str] | None:
        longest = now - min(self._plain_since, self._same_since)
        if not self._blind and longest >= self._after:
            self._blind = True
            if self._plain_since <= self._same_since:
                colour = "black" if self._mean[0, 0] < 32 else "of one colour"
                return True, f"has been {colour} for {longest:.0f} s; is its lens covered?"
            return True, f"has not changed for {longest:.0f} s; does its stream hang?"
        if self._blind and longest < 0:
            self._blind = False
            return False, "shows something again"
        return None


def _since(holds: bool, since: float, now: float) -> float:
    """When what holds now began to hold; infinity while it does not."""
    return min(since, now) if holds else math.inf
