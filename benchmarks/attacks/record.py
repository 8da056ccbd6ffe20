"""Record: plays every attack and every live clip once and keeps the samples for the judge.

Takes in View 1 and the live clips, hands on one .npz of samples per sequence, so that thresholds
can be tuned and reported without running a network again. From camera to sample it uses the
product's own detector, mesh and sampler.

    python benchmarks/attacks/record.py --images LFW/images --clips live --out CACHE KIND...
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.attacks.camera import Camera, draw_faults
from benchmarks.attacks.kinds import KINDS
from benchmarks.attacks.material import Footage, eye_holes, framed_still, frames, people
from benchmarks.attacks.stage import EyesBehind, play
from edgeface.liveness.sample import Sample, Sampler
from edgeface.pipeline.detect import Detector, Face
from edgeface.pipeline.geometry import overlap
from edgeface.pipeline.mesh import FaceMesh
from edgeface.pipeline.pictures import Picture, read_picture

RATE = 10.0
_FIELDS = ("time", "points", "depth", "presence", "crop", "scale", "place", "surround", "grain")


def save(path: Path, samples: list[Sample]) -> None:
    """Keep a sequence."""
    columns = {name: np.array([getattr(s, name) for s in samples]) for name in _FIELDS}
    np.savez(path, **columns)  # type: ignore[arg-type]


def load(path: Path) -> list[Sample]:
    """A kept sequence."""
    with np.load(path) as kept:
        columns = [kept[name] for name in _FIELDS]
    return [
        Sample(
            float(t), p, d, float(c), crop, float(s), (float(at[0]), float(at[1])), around, grain
        )
        for t, p, d, c, crop, s, at, around, grain in zip(*columns, strict=True)
    ]


class Witness:
    """Finds one face in frame after frame, the way a track does."""

    def __init__(self) -> None:
        self.detector, self.sampler = Detector(1), Sampler(FaceMesh(1))

    def watch(self, shots: Iterable[tuple[float, Picture]]) -> list[Sample]:
        """Samples of the face that was largest when first seen."""
        samples: list[Sample] = []
        last: Face | None = None
        for time, picture in shots:
            faces = self.detector.detect(picture, 60, first_found=True)
            if last is not None:
                faces = [face for face in faces if overlap(face.box, last.box) > 0.2]
            if not faces:
                continue
            last = faces[0]
            sample = self.sampler.sample(time, picture, last)
            if sample is not None:
                samples.append(sample)
        return samples


def main() -> None:
    """Record the given kinds; sequences that are already in the cache stay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="lfw-view1/images")
    parser.add_argument("--clips", type=Path, required=True, help="folder of live clips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100, help="sequences of each kind")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of an attack")
    parser.add_argument("--first", type=int, default=0, help="number of the first sequence")
    parser.add_argument("kinds", nargs="*", default=["live", *KINDS])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    witness = Witness()
    for kind in options.kinds:
        if kind in {"live", "live degraded"}:
            _live(kind, options, witness)
        else:
            _attacks(kind, options, witness)


def _live(kind: str, options: argparse.Namespace, witness: Witness) -> None:
    for clip in sorted(options.clips.glob("*.mp4")):
        path = options.out / f"{kind}-{clip.stem}.npz"
        if path.exists():
            continue
        shots: Iterable[tuple[float, Picture]] = frames(clip, RATE)
        if kind == "live degraded":
            random = np.random.default_rng(zlib.crc32(clip.stem.encode()))
            camera = Camera(draw_faults(random), random)
            shots = ((time, camera.take(_smaller(picture))) for time, picture in shots)
        save(path, witness.watch(shots))


def _smaller(picture: Picture) -> Picture:
    scale = 640 / max(picture.shape[:2])
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _always(picture: Picture) -> Callable[[float], Picture]:
    """What shows the same picture at every time."""
    return lambda _: picture


def _attacks(kind: str, options: argparse.Namespace, witness: Witness) -> None:
    stills = people(options.images)
    footage: dict[Path, Footage] = {}
    clips = sorted(options.clips.glob("*.mp4"))
    for number in range(options.first, options.first + options.count):
        path = options.out / f"{kind}-{number:04d}.npz"
        if path.exists():
            continue
        random = np.random.default_rng((zlib.crc32(kind.encode()), number))
        script = KINDS[kind](random)
        still = read_picture(stills[int(random.integers(len(stills)))])
        eyes: tuple[EyesBehind, Picture] | None = None
        show = _always(still)
        if script.video or script.eye_holes:
            clip = clips[number % len(clips)]
            if clip not in footage:
                footage[clip] = Footage(clip, witness.detector)
            start = int(random.integers(len(footage[clip].pictures)))
            behind = footage[clip].from_(start, steady=script.eye_holes)
        if script.video:
            show = behind
        elif script.eye_holes:
            faces = witness.detector.detect(still)
            if not faces:
                continue
            framed = framed_still(still, faces[0])
            faces = witness.detector.detect(framed)
            if not faces:
                continue
            eyes = behind, eye_holes(framed, faces[0], FaceMesh(1))
            show = _always(framed)
        shots = play(script, show, random, seconds=options.seconds, rate=RATE, eyes=eyes)
        samples = witness.watch((shot.time, shot.picture) for shot in shots)
        if samples:
            save(path, samples)


if __name__ == "__main__":
    main()
