"""FrameResult: what one frame showed.

Made by the watch, read by the loop, the attempts and the challenges. It holds copies: nothing in it
points into the camera's memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edgeface.decide import Decision
from edgeface.events import Event
from edgeface.liveness import LivenessVerdict, Sample
from edgeface.pipeline.pictures import Picture
from edgeface.pipeline.pipeline import EncodedFace


@dataclass(frozen=True)
class Observation:
    """One encoded face of one frame; `liveness` is its track's verdict in that frame, None where it
    is not judged."""

    track: int
    encoded: EncodedFace
    decision: Decision
    picture: Picture
    time: float
    liveness: LivenessVerdict | None = None


@dataclass
class FrameResult:
    """What one frame showed; its pictures are copies of the part around a face.

    faces: how many are in view, including those that were not encoded and those just lost; sure:
    the same without those found too few times to be judged; time: of the frame, in the source's
    seconds; seen: the tracks found in this frame; samples: the liveness sample of each face, by
    track, None where the mesh found no face.
    """

    observations: list[Observation] = field(default_factory=list)
    faces: int = 0
    events: list[tuple[Event, Picture | None]] = field(default_factory=list)
    sure: int = 0
    time: float = 0.0
    seen: frozenset[int] = frozenset()
    samples: dict[int, Sample | None] = field(default_factory=dict)
