"""Challenge: asks for gestures in an unpredictable order and checks the answers.

Takes in samples of one tracked face with its embeddings, hands on a `Status`: what to do now, and
in the end passed or failed. The caller shows the prompts; this module knows no names and no doors.

One and the same person must give every answer: the face may not leave, jump or change, an embedding
must arrive every second and stay near the first one, before, during and after every gesture, and
nobody else may be in view. A gesture counts only when it starts from rest and no sooner than a
person can react; a different gesture ends the attempt, so that a recording made for another order
fails.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from edgeface.decide import threshold_for_far
from edgeface.liveness.gestures import Gesture, Motion, Rest
from edgeface.liveness.sample import UNIT, Sample
from edgeface.pipeline.model_file import Model

STEPS = 3
_BEGIN, _STEP, _REST = 6.0, 4.0, 3.0  # seconds to begin, for a gesture, to come to rest again
_REACTION = 0.2  # seconds: nobody answers a prompt sooner
_STILL = 3  # samples at rest in a row before a prompt is given
_HELD = 2  # samples in a row that must show a gesture (a blink needs one)
_GAP = 0.5  # seconds without the face that end an attempt
_JUMP = 0.45  # of a face's width between two samples: further, and it is another face
_PROOF_EVERY = 1.0  # seconds between embeddings at most
# Shares of impostor pairs that reach the cosine required of every embedding with the first (17 in
# 1,000, the shipped model's 0.30), and the one required of their mean (36 in 100,000, its 0.50).
_LEAST_FAR, _MEAN_FAR = 1.66e-2, 3.64e-4
_TURNS = (Gesture.LEFT, Gesture.RIGHT, Gesture.UP)


class State(enum.StrEnum):
    """The state of an attempt."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True)
class Status:
    """prompt: a sentence for a person; step: gestures done; of: gestures asked for; since: seconds,
    when the attempt began (observations of an identity count only from then on)."""

    state: State
    prompt: str
    step: int
    of: int
    since: float | None


def draw(random: Random | None = None, steps: int = STEPS) -> tuple[Gesture, ...]:
    """Different gestures in a random order, at least one of them a turn of the head."""
    random = random or secrets.SystemRandom()
    while True:
        drawn = tuple(random.sample(list(Gesture), steps))
        if any(gesture in _TURNS for gesture in drawn):
            return drawn


class Likeness(NamedTuple):
    """Cosines with the first embedding: every one must reach `least`, their mean `mean`."""

    least: float
    mean: float

    @classmethod
    def of(cls, model: Model) -> Self:
        """Read from a model's score table. Raises ModelError where it has none."""
        return cls(threshold_for_far(model, _LEAST_FAR), threshold_for_far(model, _MEAN_FAR))


class Challenge:
    """One attempt. Call `observe` at most ten times a second, with the embedding if there is a new
    one; after PASSED or FAILED nothing changes."""

    def __init__(self, likeness: Likeness, gestures: Sequence[Gesture] | None = None) -> None:
        self._likeness = likeness
        self.gestures = tuple(gestures) if gestures is not None else draw()
        self._state, self._reason = State.RUNNING, ""
        self._step = 0
        self._begun: float | None = None
        self._last: float | None = None
        self._place: NDArray[np.float64] | None = None
        self._rest: Rest | None = None
        self._waiting = True  # for rest, before the next prompt
        self._since = 0.0  # of this prompt or this wait
        self._count = 0
        self._was_shut = False
        self._first: NDArray[np.float32] | None = None
        self._proofs: list[float] = []
        self._proof_at = 0.0

    def observe(
        self,
        time: float,
        sample: Sample | None,
        embedding: NDArray[np.float32] | None = None,
        *,
        alone: bool = True,
    ) -> Status:
        """Take in one frame: the `sample` of the tracked face (None where it was not visible), its
        embedding (float32, shape (128,), unit length) if there is a new one, and whether no other
        face is in view."""
        if self._state is not State.RUNNING:
            return self.status
        if self._begun is None:
            self._begun = self._since = self._last = self._proof_at = time
        if not alone:
            self._fail("somebody else was in view")
        elif sample is None:
            if self._last is not None and time - self._last > _GAP:
                self._fail("the face left the picture")
        else:
            self._take(time, sample, embedding)
        return self.status

    @property
    def status(self) -> Status:
        """The state of the attempt and what to show."""
        return Status(self._state, self._prompt(), self._step, len(self.gestures), self._begun)

    def _take(self, time: float, sample: Sample, embedding: NDArray[np.float32] | None) -> None:
        if not self._same_place(time, sample) or not self._same_person(time, embedding):
            return
        if self._rest is None:
            self._settle(time, sample)
            return
        motion = self._rest.motion(sample)
        if self._waiting:
            self._wait(time, motion)
        else:
            self._answer(time, motion)

    def _same_place(self, time: float, sample: Sample) -> bool:
        """Whether this can be the face of the sample before."""
        if self._last is not None and time - self._last > _GAP:
            self._fail("the face left the picture")
            return False
        place = np.array((*sample.place, 1 / sample.scale))
        before, self._place, self._last = self._place, place, time
        if before is None:
            return True
        width = 100 / sample.scale  # frame pixels
        moved = float(np.hypot(*(place[:2] - before[:2]))) / width
        if moved > _JUMP or not 0.7 < place[2] / before[2] < 1.4:
            self._fail("the face jumped")
            return False
        return True

    def _same_person(self, time: float, embedding: NDArray[np.float32] | None) -> bool:
        if embedding is None:
            if time - self._proof_at > _PROOF_EVERY:
                self._fail("the face could not be followed")
                return False
            return True
        self._proof_at = time
        if self._first is None:
            self._first = embedding
            return True
        cosine, needed = float(self._first @ embedding), self._likeness
        self._proofs.append(cosine)
        if cosine < needed.least or float(np.mean(self._proofs[-4:])) < needed.mean:
            self._fail("the face changed")
            return False
        return True

    def _settle(self, time: float, sample: Sample) -> None:
        """Wait for a frontal face with its mouth closed, which is then the head at rest."""
        if self._first is not None and _frontal(sample):
            self._count += 1
            if self._count >= _STILL:
                self._rest, self._count, self._since = Rest(sample), 0, time
                return
        else:
            self._count = 0
        if time - self._since > _BEGIN:
            self._fail("nobody looked at the camera")

    def _wait(self, time: float, motion: Motion) -> None:
        self._count = self._count + 1 if motion.at_rest else 0
        # The face at rest must have been compared since the last answer: nobody may swap places.
        if self._count >= _STILL and self._proof_at >= self._since:
            if self._step == len(self.gestures):
                self._finish()
                return
            self._waiting, self._count, self._since = False, 0, time
            self._was_shut = False
        elif time - self._since > _REST:
            self._fail("the head did not come to rest")

    def _answer(self, time: float, motion: Motion) -> None:
        asked, passed = self.gestures[self._step], time - self._since
        others = [g for g in Gesture if g not in {asked, Gesture.BLINK} and motion.shows(g)]
        if others and not motion.shows(asked):
            self._fail("that was a different gesture")
            return
        if asked is Gesture.BLINK:
            if motion.shut and not self._was_shut:
                self._count += 1
                if passed < _REACTION:
                    self._fail("the answer came before the prompt")
                    return
            self._was_shut = bool(motion.shut)
            done = self._count >= 2 and not self._was_shut
        else:
            self._count = self._count + 1 if motion.shows(asked) else 0
            if self._count and passed < _REACTION:
                self._fail("the answer came before the prompt")
                return
            done = self._count >= _HELD
        if done:
            self._step += 1
            self._waiting, self._count, self._since = True, 0, time
        elif passed > _STEP:
            self._fail("too late")

    def _finish(self) -> None:
        if len(self._proofs) < len(self.gestures):
            self._fail("the face could not be followed")
        else:
            self._state = State.PASSED

    def _fail(self, reason: str) -> None:
        self._state, self._reason = State.FAILED, reason

    def _prompt(self) -> str:
        if self._state is State.PASSED:
            return "thank you"
        if self._state is State.FAILED:
            return f"{self._reason}: try again"
        if self._waiting:
            return "look straight at the camera"
        return self.gestures[self._step].value


def _frontal(sample: Sample) -> bool:
    """Whether, by the mesh alone, a head faces the camera with its mouth closed."""
    points, depth = sample.points, sample.depth
    cheeks = float(depth[234] - depth[454]) / UNIT
    gap = float(np.linalg.norm(points[13] - points[14])) / UNIT
    return abs(cheeks) < 0.45 and gap < 0.12
