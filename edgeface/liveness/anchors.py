"""Anchors: the earlier samples of a face that a new one is registered with.

Takes in `Sample`s of one face, hands on `Comparison`s. Every anchor has an error of its own, which
all comparisons with it share, so they must not rest on one anchor: a new one is kept every 0.19
seconds, and those from which the head has turned far enough, but not so far that its points are
lost, are used in rotation.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from edgeface.liveness.register import Anchor, Comparison, solid_of, turns
from edgeface.liveness.sample import Sample

_EVERY = 0.19  # seconds between anchors
_AGE = 1.2  # seconds that one is kept; older ones fit less well
_FARTHEST = 12.0  # degrees: points of a head that turned further are lost
_SHARE = 0.5  # of the largest turn: anchors with a smaller one show less parallax


class Anchors:
    """The anchors of one face."""

    def __init__(self) -> None:
        self._kept: deque[Anchor] = deque()
        self._turn = 0

    def compare(self, sample: Sample) -> Comparison | None:
        """Register a sample with one of the anchors; None where it is the first or does not fit, in
        which case it becomes the only anchor."""
        comparison = self._register(sample) if self._kept else None
        if comparison is None:
            self._kept.clear()
        if not self._kept or sample.time - self._kept[-1].sample.time >= _EVERY:
            self._kept.append(Anchor(sample))
        while sample.time - self._kept[0].sample.time > _AGE and len(self._kept) > 1:
            self._kept.popleft()
        return comparison

    @property
    def any(self) -> bool:
        """Whether there is an anchor."""
        return bool(self._kept)

    def _register(self, sample: Sample) -> Comparison | None:
        """With the next of the anchors from which the head has turned at least half as far as from
        the one that is farthest, as long as its points can still be followed."""
        rotations = turns([anchor.solid for anchor in self._kept], solid_of(sample))
        # For a head that did not turn, rounding makes a cosine above 1 on some processors.
        cosines = (rotations.trace(axis1=1, axis2=2) - 1) / 2
        angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
        near = np.maximum(_FARTHEST, angles.min())
        good = np.flatnonzero((angles <= near) & (angles >= _SHARE * angles[angles <= near].max()))
        self._turn += 1
        chosen = int(good[self._turn % len(good)])
        return self._kept[chosen].compare(sample, rotations[chosen])
