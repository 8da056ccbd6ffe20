"""Turned: notices a camera that was mounted upside down or sideways.

Takes in frames in which something moves, hands on a sentence once, when again and again there were
faces in the turned picture and none that was upright in the picture itself. Faces that are not
upright are missed, or refused far too often. It turns no picture for anybody else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol, cast

import cv2

from edgeface.pipeline.detect import Face
from edgeface.pipeline.pictures import Picture
from edgeface.pipeline.squares import Square, levels
from edgeface.sources import Frame, SourceSettings

_EVERY = 3.0  # seconds of the frames' clock between checks, each of about 8 inferences
_OFTEN = 3  # checks that must agree
_MOST_TILT = math.radians(45)  # of a face that counts as upright
# The detector takes an upside-down face for an upright one with scores up to 0.84, where the face
# turned upright has 0.91 and more (the shipped portraits).
_LEAST_SCORE, _MARGIN = 0.86, 0.05
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_WORDS = {90: "sideways", 180: "upside down", 270: "sideways"}


class Finder(Protocol):
    """What finds the faces: a detector, or a pipeline that has one."""

    def detect_in(self, frame: Picture, squares: Iterable[Square], /) -> list[Face]:
        """The faces in these squares."""


class Turned:
    """What the faces of one source say about how its camera is mounted. One thread at a time.

    advice: the `rotation` in degrees that would make the pictures upright, None where they are, or
    where nothing is known.
    """

    def __init__(self, finder: Finder, settings: SourceSettings) -> None:
        self._finder = finder
        self._rotation, self._mirror = settings.rotation, settings.mirror
        self._found = dict.fromkeys((0, *_TURNS), 0)  # checks by the turn that shows upright faces
        self._due = -math.inf
        self.advice: int | None = None

    def see(self, frame: Frame) -> str | None:
        """A sentence when it has become clear that the camera is turned; None otherwise."""
        settled = self._found[0] >= _OFTEN and self.advice is None
        if settled or frame.still or frame.time < self._due:
            return None
        self._due = frame.time + _EVERY
        turn = self.best_turn(frame.picture)
        if turn is None:
            return None
        self._found[turn] += 1
        if turn == 0:
            self._found |= dict.fromkeys(_TURNS, 0)  # some faces are upright: nothing to say
            self.advice = None if self._found[0] >= _OFTEN else self.advice
            return None
        self._found[0] = 0
        if self._found[turn] < _OFTEN or self.advice is not None:
            return None
        self.advice = self.rotation(turn)
        return self.sentence

    @property
    def sentence(self) -> str | None:
        """What is wrong and what to do, as the rest of a sentence about the camera."""
        return None if self.advice is None else advice(self.advice, self._rotation)

    def best_turn(self, picture: Picture) -> int | None:
        """By how many degrees clockwise a picture must be turned to show an upright face: 0 where
        it shows one as it is, None where it shows none either way."""
        scores = {0: self._best_upright(picture)}
        for degrees, turn in _TURNS.items():
            scores[degrees] = self._best_upright(cast(Picture, cv2.rotate(picture, turn)))
        best = max(scores, key=lambda degrees: scores[degrees])
        others = max(score for degrees, score in scores.items() if degrees != best)
        decided = scores[best] >= _LEAST_SCORE and scores[best] - others >= _MARGIN
        return best if decided else None

    def rotation(self, turn: int) -> int:
        """The setting `rotation` in place of the present one, to turn pictures by so much more."""
        return (self._rotation + (-turn if self._mirror else turn)) % 360

    def _best_upright(self, picture: Picture) -> float:
        """The score of the surest face whose mouth is below its eyes, 0 where there is none."""
        height, width = picture.shape[:2]
        squares = [s for level in levels(width, height, min(height, width) / 8) for s in level]
        faces = self._finder.detect_in(picture, squares)
        return max((face.score for face in faces if _is_upright(face)), default=0.0)


def advice(rotation: int, present: int = 0) -> str:
    """What is wrong with a camera whose rotation should be this one, and what to do."""
    how = _WORDS[(rotation - present) % 360]
    return f"shows faces {how}; set rotation = {rotation} in [source], or turn the camera"


def _is_upright(face: Face) -> bool:
    """Whether the mouth is below the eyes."""
    across = (face.right_eye.x + face.left_eye.x) / 2 - face.mouth.x
    down = face.mouth.y - (face.right_eye.y + face.left_eye.y) / 2
    return abs(math.atan2(across, down)) < _MOST_TILT
