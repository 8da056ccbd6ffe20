"""Warped: photos on a screen that are warped as the challenge's prompts ask.

Takes in View 1, prints how many of such attempts passed the challenge, and how many had the passive
cues as well, as `high_security` requires, with 95 % intervals. The warp is one that anybody can
program: the face mesh of the photo gives each pixel a depth, by which it is shifted; the mouth is
opened and eyelids are painted over the eyes. It reads each prompt and answers half a second later.

    python benchmarks/attacks/warped.py --images LFW/images [--count 30] [--turn 0.6]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

import cv2
import numpy as np

from benchmarks.attacks.kinds import KINDS
from benchmarks.attacks.material import people
from benchmarks.attacks.protocol import wilson
from benchmarks.attacks.stage import play
from edgeface.demo.animate import Animated
from edgeface.liveness import Liveness, LivenessJudge, Sampler
from edgeface.liveness.challenge import Challenge, Likeness, State, draw
from edgeface.liveness.gestures import Gesture
from edgeface.pipeline.detect import Face
from edgeface.pipeline.model_file import load_model
from edgeface.pipeline.pictures import Picture, read_picture
from edgeface.pipeline.pipeline import FacePipeline

_EMBED_EVERY = 5  # samples
_LONGEST = 40.0  # seconds
_REACTION, _MOVING, _LIDS = 0.5, 0.7, 0.25  # seconds
_OPEN = 0.6  # of the distance from the lips to the chin
_SIDES = {Gesture.LEFT: 1, Gesture.RIGHT: -1}


class Warped:
    """A photo that does what `asked` says; `since` is when it was asked, in seconds."""

    def __init__(self, photo: Picture, face: Face, turn: float) -> None:
        self._animated, self._turn = Animated(photo, face), turn
        self._eyes = (face.right_eye, face.left_eye)
        self.asked, self.since = "", 0.0

    def ask(self, prompt: str, time: float) -> None:
        """Take in what is prompted for."""
        if prompt != self.asked:
            self.asked, self.since = prompt, time

    def __call__(self, time: float) -> Picture:
        """The photo at a time."""
        gesture = next((g for g in Gesture if g.value == self.asked), None)
        passed = time - self.since - _REACTION
        amount = float(np.clip(passed / _MOVING, 0, 1)) if gesture else 0.0
        posed = self._animated.posed(
            _SIDES.get(gesture, 0) * self._turn * amount if gesture else 0.0,
            0.75 * self._turn * amount if gesture is Gesture.UP else 0.0,
            _OPEN * amount if gesture is Gesture.MOUTH else 0.0,
        )
        shut = gesture is Gesture.BLINK and passed > 0 and int(passed / _LIDS) % 2 == 0
        return self._lids(posed) if shut else posed

    def _lids(self, picture: Picture) -> Picture:
        picture = picture.copy()
        right, left = self._eyes
        apart = float(np.hypot(right.x - left.x, right.y - left.y))
        for eye in self._eyes:
            skin = tuple(int(c) for c in picture[int(eye.y + 0.28 * apart), int(eye.x)])
            axes = (int(0.3 * apart), int(0.14 * apart))
            cv2.ellipse(picture, (int(eye.x), int(eye.y)), axes, 0, 0, 360, skin, -1)
        return picture


class Attempts:
    """Attempts on one kind of screen."""

    def __init__(self, kind: str, turn: float) -> None:
        self._kind, self._turn = kind, turn
        self._pipeline, self._sampler = FacePipeline(threads=1), Sampler()
        self._likeness = Likeness.of(load_model())

    def attempt(self, photo: Picture, seed: int) -> tuple[str, bool] | None:
        """The last prompt, and whether the passive cues were there as well; None without a face."""
        faces = self._pipeline.detect(photo)
        if not faces:
            return None
        random = np.random.default_rng(seed)
        warped = Warped(photo, faces[0], self._turn)
        challenge, judge = Challenge(self._likeness, draw(Random(seed))), LivenessJudge()
        live = False
        script = KINDS[self._kind](random)
        for number, shot in enumerate(play(script, warped, random, seconds=_LONGEST)):
            seen = self._pipeline.detect(shot.picture)
            sample = proof = None
            if seen:
                sample = self._sampler.sample(shot.time, shot.picture, seen[0])
                live = judge.take(shot.time, sample, seen[0]).liveness is Liveness.LIVE
                if number % _EMBED_EVERY == 0:
                    proof = self._pipeline.encode(shot.picture, seen[0]).embedding
            status = challenge.observe(shot.time, sample, proof)
            warped.ask(status.prompt, shot.time)
            if status.state is not State.RUNNING:
                return status.prompt, live and status.state is State.PASSED
        return challenge.status.prompt, False


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--turn", type=float, default=0.6, help="how far it turns, in radians")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    photos = people(options.images)
    for kind in ("phone video", "monitor video"):
        attempts = Attempts(kind, options.turn)
        tried = passed = admitted = 0
        for number in range(options.count):
            photo = read_picture(photos[(37 * number + 5) % len(photos)])
            outcome = attempts.attempt(photo, number)
            if outcome is None:
                continue
            tried += 1
            passed += outcome[0] == "thank you"
            admitted += outcome[1]
        for what, count in (("challenge", passed), ("and passive cues", admitted)):
            low, high = wilson(count, tried)
            interval = f"[{100 * low:.1f}, {100 * high:.1f}] %"
            print(f"{kind}, {what}: {count} of {tried} passed {interval}", flush=True)


if __name__ == "__main__":
    main()
