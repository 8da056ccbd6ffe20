"""Stills: strangers' faces that stay where they are, as a poster or a portrait on the wall does.

Takes in the place and embedding of a stranger's face that is to be reported, hands on whether the
same face was reported at the same place and has not moved since. It keeps embeddings in memory
alone, and makes no event itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeface.pipeline.encode import Embedding
from edgeface.pipeline.geometry import Box, overlap

_SAME_PLACE = 0.6  # overlap with the box that was reported; who stands and sways keeps it
_GAP = 10.0  # seconds for which a face may be lost and still have stayed
_FIXED = 60.0  # seconds after which a face that has not moved hangs there
_FIXED_GAP = 3600.0  # seconds for which what hangs there may be lost, or hidden
_MOST = 50


@dataclass
class _Still:
    box: Box
    embedding: Embedding
    since: float
    seen: float

    def lasts(self, now: float) -> bool:
        """Whether a face at this place at this time is still the one that was reported."""
        fixed = self.seen - self.since >= _FIXED
        return 0 <= now - self.seen <= (_FIXED_GAP if fixed else _GAP)


class Stills:
    """The strangers that were reported, by place. One thread at a time."""

    def __init__(self, same: float) -> None:
        """`same`: the cosine from which two embeddings are of one person."""
        self._same = same
        self._stills: list[_Still] = []

    def stays(self, box: Box, embedding: Embedding, now: float) -> bool:
        """Whether this face was reported and has stayed since. `now`: the source's seconds."""
        self._stills = [still for still in self._stills if still.lasts(now)]
        for still in self._stills:
            likeness = float(still.embedding @ embedding)
            if overlap(still.box, box) >= _SAME_PLACE and likeness >= self._same:
                still.seen = now
                return True
        return False

    def reported(self, box: Box, embedding: Embedding, now: float) -> None:
        """Remember that this face was reported at this place."""
        self._stills = [*self._stills[1 - _MOST :], _Still(box, embedding, now, now)]
