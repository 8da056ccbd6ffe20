"""Challenges: attempts at the active challenge that must fail, and some that must pass.

Takes in View 1 and the live clips, prints how many attempts of each kind passed: replays of clips
that were not made for the challenge (the clip itself, the best possible replay), faces swapped in
the middle, a helper beside a photo, and correct answers.

    python benchmarks/attacks/challenges.py --images LFW/images --clips live
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

import cv2
import numpy as np

from benchmarks.attacks.material import frames, people
from benchmarks.attacks.puppet import Puppet, instants
from edgeface.liveness.challenge import Challenge, Likeness, State, draw
from edgeface.liveness.gestures import Gesture
from edgeface.liveness.sample import Sample, Sampler
from edgeface.pipeline.model_file import load_model
from edgeface.pipeline.pictures import read_picture
from edgeface.pipeline.pipeline import FacePipeline

_EMBED_EVERY = 5  # samples
_LONGEST = 45.0  # seconds


@dataclass(frozen=True)
class Look:
    """A sample and, every so often, its embedding."""

    sample: Sample
    embedding: np.ndarray | None


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--attempts", type=int, default=200)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pipeline, sampler = FacePipeline(threads=1), Sampler()
    faces = list(_faces(people(options.images), pipeline, sampler, 2 * options.attempts))
    for name, trial in (("honest", None), ("swapped", "swap"), ("helper beside", "beside")):
        outcomes = Counter(_puppets(faces, number, trial) for number in range(options.attempts))
        _tell(name, outcomes)
    clips = [list(_clip(clip, pipeline, sampler)) for clip in sorted(options.clips.glob("*.mp4"))]
    outcomes = Counter(
        _replay(clips[number % len(clips)], number) for number in range(options.attempts)
    )
    _tell("replayed clip", outcomes)


@cache
def _likeness() -> Likeness:
    return Likeness.of(load_model())


def _tell(name: str, outcomes: Counter[str]) -> None:
    total, passed = outcomes.total(), outcomes["thank you"]
    print(f"{name:15} {passed} of {total} passed;", dict(outcomes.most_common(6)), flush=True)


def _faces(
    paths: list[Path], pipeline: FacePipeline, sampler: Sampler, count: int
) -> Iterator[Look]:
    step = max(1, len(paths) // (count + count // 4))
    found = 0
    for path in paths[::step]:
        picture = read_picture(path)
        subjects = pipeline.detect(picture)
        if not subjects or found >= count:
            continue
        sample = sampler.sample(0.0, picture, subjects[0])
        if sample is None or abs(float(sample.depth[234] - sample.depth[454])) > 20:
            continue
        if np.linalg.norm(sample.points[13] - sample.points[14]) > 5:
            continue
        found += 1
        yield Look(sample, pipeline.encode(picture, subjects[0]).embedding)


def _clip(path: Path, pipeline: FacePipeline, sampler: Sampler) -> Iterator[Look]:
    for number, (time, picture) in enumerate(frames(path, 10.0)):
        subjects = pipeline.detect(picture)
        if not subjects:
            continue
        sample = sampler.sample(time, picture, subjects[0])
        if sample is not None:
            again = number % _EMBED_EVERY == 0
            yield Look(sample, pipeline.encode(picture, subjects[0]).embedding if again else None)


def _puppets(faces: list[Look], number: int, trial: str | None) -> str:
    random = np.random.default_rng(number)
    pair = [faces[(2 * number + i) % len(faces)] for i in (0, 1)]
    first, second = (Puppet(look.sample, random) for look in pair)
    challenge = Challenge(_likeness(), draw(Random(number)))
    # The swap comes before any of the answers is complete.
    swap_step, swap_after = int(random.integers(3)), float(random.uniform(0, 0.9))
    swapped = False
    prompt, since = "", 0.0
    status = challenge.status
    for look, time in enumerate(instants(_LONGEST)):
        if status.prompt != prompt:
            prompt, since = status.prompt, time
        gesture = next((g for g in Gesture if g.value == prompt), None)
        if trial == "swap" and gesture and status.step == swap_step:
            swapped |= time - since >= swap_after
        actor, who = (second, pair[1]) if swapped else (first, pair[0])
        if trial == "beside":
            gesture = None  # the photo does nothing; its helper, on another track, does
        sample = actor.answer(time, gesture, time - since)
        if swapped:  # held where the other was
            sample = replace(sample, place=pair[0].sample.place, scale=pair[0].sample.scale)
        proof = who.embedding if look % _EMBED_EVERY == 0 else None
        # The helper comes into view only later, or the attempt would end at once.
        alone = trial != "beside" or number % 2 == 0 or time < 2
        status = challenge.observe(time, sample, proof, alone=alone)
        if status.state is not State.RUNNING:
            break
    return status.prompt


def _replay(clip: list[Look], number: int) -> str:
    random = np.random.default_rng(number)
    challenge = Challenge(_likeness(), draw(Random(1000 + number)))
    place, last = int(random.integers(len(clip))), len(clip) - 1
    status = challenge.status
    for time in instants(_LONGEST):
        at = place % (2 * last)
        look = clip[min(at, 2 * last - at)]
        place += 1
        status = challenge.observe(time, replace(look.sample, time=time), look.embedding)
        if status.state is not State.RUNNING:
            break
    return status.prompt


if __name__ == "__main__":
    main()
