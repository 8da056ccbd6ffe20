"""Track: follows faces from frame to frame, so that several observations are of one person.

Takes in the faces of each frame with the frame's time, hands on `Track`s whose number stays the
same while the face stays in view. It uses only positions and never compares faces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from edgeface.pipeline.detect import Face
from edgeface.pipeline.geometry import Box

_PATIENCE = 1.0  # seconds without the face, after which a track ends
_REACH = 0.8  # of the face's width: how far from its expected place it may be found
_GROWTH = 1.6  # a face this much wider or narrower than before is another one
_SMOOTHING = 0.4  # share of the newest movement in the estimate of the velocity


@dataclass
class Track:
    """One face over time. Times are the source's seconds; the velocity is in pixels per second."""

    number: int
    face: Face
    last_seen: float
    detections: int = 1
    _velocity: tuple[float, float] = field(default=(0.0, 0.0), repr=False)

    def expected(self, time: float) -> Box:
        """Where the face should be at `time`, by its last place and velocity."""
        box, ahead = self.face.box, time - self.last_seen
        return Box(
            box.x + self._velocity[0] * ahead,
            box.y + self._velocity[1] * ahead,
            box.width,
            box.height,
        )

    def see(self, face: Face, time: float) -> None:
        """Add the face as this track's newest detection."""
        passed = time - self.last_seen
        if passed > 0:
            old, new = self.face.box.centre, face.box.centre
            fresh = ((new.x - old.x) / passed, (new.y - old.y) / passed)
            self._velocity = (
                self._velocity[0] + _SMOOTHING * (fresh[0] - self._velocity[0]),
                self._velocity[1] + _SMOOTHING * (fresh[1] - self._velocity[1]),
            )
        self.face, self.last_seen = face, time
        self.detections += 1


class Tracker:
    """The tracks in view."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self._last_number = 0

    def update(self, faces: list[Face], time: float) -> tuple[list[Track], list[Track]]:
        """Take in one frame's faces; returns the tracks seen in it and the tracks that ended."""
        seen: list[Track] = []
        free = list(faces)
        pairs = sorted(
            (
                (distance, track.number, position)
                for track in self.tracks
                for position, face in enumerate(faces)
                if (distance := _distance(track.expected(time), face.box)) < _REACH
            ),
        )
        by_number = {track.number: track for track in self.tracks}
        for _, number, position in pairs:
            face = faces[position]
            if number in by_number and face in free:
                track = by_number.pop(number)
                free.remove(face)
                track.see(face, time)
                seen.append(track)
        for face in free:
            track = self.begin(face, time)
            self.tracks.append(track)
            seen.append(track)
        ended = [track for track in self.tracks if time - track.last_seen > _PATIENCE]
        self.tracks = [track for track in self.tracks if track not in ended]
        return seen, ended

    def begin(self, face: Face, time: float) -> Track:
        """A numbered track that is not followed, for a face in a single picture."""
        self._last_number += 1
        return Track(self._last_number, face, time)

    def end_all(self) -> list[Track]:
        """End every track; returns them."""
        ended, self.tracks = self.tracks, []
        return ended


def _distance(expected: Box, box: Box) -> float:
    """How far apart the centres are in face widths; infinite when the sizes do not fit."""
    if not 1 / _GROWTH < box.width / expected.width < _GROWTH:
        return math.inf
    one, other = expected.centre, box.centre
    return math.hypot(one.x - other.x, one.y - other.y) / max(expected.width, box.width)
