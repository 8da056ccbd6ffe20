"""Record: plays every attack and every live clip once and keeps the samples for the judge.

Takes in View 1 and clips (of living people, or with the kind `filmed` of filmed attacks), hands on
one .npz of samples per sequence, so that thresholds
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
from numpy.typing import NDArray

from benchmarks.attacks.camera import Camera, draw_faults
from benchmarks.attacks.kinds import KINDS, Script
from benchmarks.attacks.material import (
    AnimatedStill,
    Footage,
    driving_points,
    framed_still,
    frames,
    holes_in,
    people,
)
from benchmarks.attacks.stage import EyesBehind, play
from edgeface.liveness.sample import Sample, Sampler
from edgeface.pipeline.detect import Detector, Face
from edgeface.pipeline.geometry import overlap
from edgeface.pipeline.mesh import FaceMesh
from edgeface.pipeline.pictures import Picture, read_picture
from edgeface.pipeline.squares import around

RATE, FILM_RATE = 10.0, 15.0  # frames a second of composed attacks, and of clips
Take = Callable[[Picture], Picture]
Show = Callable[[float], Picture]
_FIELDS = ("time", "points", "depth", "presence", "crop", "scale", "place", "grain")


def save(path: Path, samples: list[Sample]) -> None:
    """Keep a sequence."""
    columns = {name: np.array([getattr(s, name) for s in samples]) for name in _FIELDS}
    np.savez(path, **columns)  # type: ignore[arg-type]


def load(path: Path) -> list[Sample]:
    """A kept sequence."""
    with np.load(path) as kept:
        columns = [kept[name] for name in _FIELDS]
    return [
        Sample(float(t), p, d, float(c), crop, float(s), (float(at[0]), float(at[1])), grain)
        for t, p, d, c, crop, s, at, grain in zip(*columns, strict=True)
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
            faces: list[Face] = []
            if last is not None:  # where it was, as a track does; the whole picture if it is gone
                near = self.detector.detect_in(picture, [around(last.box)])
                faces = [face for face in near if overlap(face.box, last.box) > 0.2]
            if not faces:
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
    parser.add_argument("--clips", type=Path, nargs="+", required=True, help="of live clips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100, help="sequences of each kind")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of an attack")
    parser.add_argument("--first", type=int, default=0, help="number of the first sequence")
    parser.add_argument("kinds", nargs="*", default=["live", *KINDS])
    options = parser.parse_args()
    cv2.setNumThreads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    witness = Witness()
    shows = _Shows(options, witness)
    for kind in options.kinds:
        if kind in CONDITIONS:
            _live(kind, options, witness)
        else:
            _attacks(kind, options, witness, shows)


def _live(kind: str, options: argparse.Namespace, witness: Witness) -> None:
    for clip in sorted(clip for folder in options.clips for clip in folder.glob("*.mp4")):
        path = options.out / f"{kind}-{clip.stem}.npz"
        if path.exists():
            continue
        random = np.random.default_rng(zlib.crc32(clip.stem.encode()))
        take = CONDITIONS[kind](random)
        samples = witness.watch((t, take(_smaller(p))) for t, p in frames(clip, FILM_RATE))
        if samples:
            save(path, samples)


def _smaller(picture: Picture) -> Picture:
    scale = min(1.0, 640 / max(picture.shape[:2]))
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _dark(random: np.random.Generator) -> Take:
    """A fifth of the light, and the noise that the camera's gain makes of it."""

    def take(picture: Picture) -> Picture:
        light = (picture.astype(np.float32) / 255) ** 1.6 * 56
        noisy = np.clip(light + random.normal(0, 4, picture.shape), 0, 255)
        return np.clip(noisy * 1.6, 0, 255).astype(np.uint8)

    return take


def _infrared(random: np.random.Generator) -> Take:
    """Grey, lit from the camera, skin bright and smooth: like infrared, which is not at hand."""

    def take(picture: Picture) -> Picture:
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
        soft = cv2.GaussianBlur(0.3 * grey + 0.7 * picture[..., 2], (0, 0), 0.8)
        height, width = grey.shape
        y, x = np.mgrid[0:height, 0:width]
        lamp = np.exp(-(((x / width - 0.5) / 0.7) ** 2 + ((y / height - 0.45) / 0.7) ** 2))
        level = np.clip(0.9 * soft * lamp + 10 + random.normal(0, 3.5, grey.shape), 0, 255)
        return np.asarray(cv2.merge([level.astype(np.uint8)] * 3), np.uint8)

    return take


CONDITIONS: dict[str, Callable[[np.random.Generator], Take]] = {
    "live": lambda random: lambda picture: picture,
    "live dark": _dark,
    "live infrared": _infrared,
    "live degraded": lambda random: Camera(draw_faults(random), random).take,
    "filmed": lambda random: lambda picture: picture,  # attacks that somebody filmed
}


def _always(picture: Picture) -> Callable[[float], Picture]:
    """What shows the same picture at every time."""
    return lambda _: picture


class _Shows:
    """What a sheet shows: a still, a clip, a still animated by one, or a still with holes."""

    def __init__(self, options: argparse.Namespace, witness: Witness) -> None:
        self._stills, self._witness = people(options.images), witness
        self._clips = sorted(clip for folder in options.clips for clip in folder.glob("*.mp4"))
        self._footage: dict[Path, Footage] = {}
        self._points: dict[Path, list[NDArray[np.float64]]] = {}
        self._mesh = FaceMesh(1)

    def of(
        self, script: Script, number: int, random: np.random.Generator
    ) -> tuple[Show, tuple[EyesBehind, Picture] | None] | None:
        """What is shown at a time, and who is behind its holes; None where no face is found."""
        still = read_picture(self._stills[int(random.integers(len(self._stills)))])
        clip = self._clips[number % len(self._clips)]
        if script.video:
            footage = self._of_clip(clip)
            return footage.from_(int(random.integers(len(footage.pictures)))), None
        if not script.holes and not script.animated:
            return _always(still), None
        framed = self._framed(still)
        if framed is None:
            return None
        picture, face = framed
        if script.holes:
            footage = self._of_clip(clip)
            behind = footage.from_(int(random.integers(len(footage.pictures))), steady=True)
            holes = holes_in(picture, face, self._mesh, script.holes)
            return _always(picture), (behind, holes)
        if clip not in self._points:
            footage = self._of_clip(clip)
            self._points[clip] = driving_points(footage, self._witness.detector, self._mesh)
        points = self._points[clip]
        start = int(random.integers(max(1, len(points) - 1)))
        animated = AnimatedStill(picture, face, self._mesh)
        return lambda t: animated.at(points[start], _there_and_back(points, start, t)), None

    def _of_clip(self, clip: Path) -> Footage:
        if clip not in self._footage:
            self._footage[clip] = Footage(clip, self._witness.detector)
        return self._footage[clip]

    def _framed(self, still: Picture) -> tuple[Picture, Face] | None:
        for face in self._witness.detector.detect(still)[:1]:
            framed = framed_still(still, face)
            for again in self._witness.detector.detect(framed)[:1]:
                return framed, again
        return None


def _there_and_back(
    points: list[NDArray[np.float64]], start: int, time: float
) -> NDArray[np.float64]:
    last = max(1, len(points) - 1)
    place = (start + round(time * RATE)) % (2 * last)
    return points[min(place, 2 * last - place)]


def _attacks(kind: str, options: argparse.Namespace, witness: Witness, shows: _Shows) -> None:
    for number in range(options.first, options.first + options.count):
        path = options.out / f"{kind}-{number:04d}.npz"
        if path.exists():
            continue
        random = np.random.default_rng((zlib.crc32(kind.encode()), number))
        script = KINDS[kind](random)
        shown = shows.of(script, number, random)
        if shown is None:
            continue
        show, eyes = shown
        shots = play(script, show, random, seconds=options.seconds, rate=RATE, eyes=eyes)
        samples = witness.watch((shot.time, shot.picture) for shot in shots)
        if samples:
            save(path, samples)


if __name__ == "__main__":
    main()
