"""FrameResult: what one frame showed.

Made by the watch, read by the loop, the attempts and the challenges. It holds copies: nothing in it
belongs to the camera.
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
    """One encoded face of one frame; `liveness` is what its track was found to be in that frame,
    None where that is not judged."""

    track: int
    encoded: EncodedFace
    decision: Decision
    picture: Picture
    time: float
    liveness: LivenessVerdict | None = None


@dataclass
class FrameResult:
    """What one frame showed; the pictures are cut-outs of faces, in copies of their own.

    faces: how many are in view, those that were not encoded and those just lost included; sure:
    the same without those found too rarely to be judged; time: of the frame, in the source's
    seconds; seen: the tracks found in this frame; samples: what the proof of life
    took of each face, by track, None where the mesh saw no face.
    """

    observations: list[Observation] = field(default_factory=list)
    faces: int = 0
    events: list[tuple[Event, Picture | None]] = field(default_factory=list)
    sure: int = 0
    time: float = 0.0
    seen: frozenset[int] = frozenset()
    samples: dict[int, Sample | None] = field(default_factory=dict)
