"""Demo of liveness: one attempt by a face that moves and one by its photo, three seconds each.

Takes in the shipped portraits, hands on each attempt's verdict. No film of a living person ships
with the package, so a portrait with an animated mouth stands in for one, and the demo says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgeface.demo.animate import Animated
from edgeface.liveness.judge import Liveness, LivenessJudge, LivenessVerdict
from edgeface.pipeline.detect import Detector, Face
from edgeface.pipeline.pictures import Picture, read_picture

_FRAME = (640, 480)
_FACE = 150  # pixels wide, as at a door
_SECONDS, _RATE = 3, 10


@dataclass(frozen=True)
class Tried:
    """One attempt: what was shown, what it is, and the verdict at its end."""

    image: str
    expected_live: bool
    verdict: LivenessVerdict

    @property
    def right(self) -> bool:
        """Whether the living face was found live, or the photo was not; it need not be `spoof`."""
        return (self.verdict.liveness is Liveness.LIVE) == self.expected_live


def run_attempts(portrait: Path) -> Iterator[Tried]:
    """Judge the portrait animated, then the portrait held as a print."""
    detector = Detector(1)
    frame, face = framed(read_picture(portrait), detector)
    animated = Animated(frame, face)
    yield Tried(f"{portrait.name}, speaking (animated)", True, _judge(detector, animated.speaking))
    yield Tried(f"{portrait.name}, a print in a hand", False, _judge(detector, animated.held))


def _judge(detector: Detector, at: Callable[[float], Picture]) -> LivenessVerdict:
    """The verdict at the end, or `live` if it was the verdict at any time."""
    judge = LivenessJudge()
    last: LivenessVerdict | None = None
    for number in range(_SECONDS * _RATE):
        time = number / _RATE
        frame = at(time)
        for face in detector.detect(frame)[:1]:
            verdict = judge.observe(time, frame, face)
            if last is None or last.liveness is not Liveness.LIVE:
                last = verdict or last
    return last or judge.take(0.0, None)


def framed(portrait: Picture, detector: Detector) -> tuple[Picture, Face]:
    """The portrait as a camera at a door frames it, and its face in that frame."""
    face = detector.detect(portrait, 60, first_found=True)[0]
    scale, centre = _FACE / face.box.width, face.box.centre
    matrix = np.array(
        [
            [scale, 0, _FRAME[0] / 2 - scale * centre.x],
            [0, scale, _FRAME[1] / 2 - scale * centre.y],
        ]
    )
    seen = cv2.warpAffine(
        portrait, matrix, _FRAME, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    frame = np.asarray(seen, np.uint8)
    return frame, detector.detect(frame)[0]
