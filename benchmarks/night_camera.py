"""A night camera made from LFW View 1: what fine-tuning gains there, and what it costs by day.

    python benchmarks/night_camera.py pictures LFW OUT   # degrade, and lay out the training folder
    python benchmarks/night_camera.py measure LFW OUT MODEL.tflite ...

LFW is a folder with View 1's `images` and pairs. A degraded picture is grey, 40 pixels across the
face, at gamma 0.5, with noise, in this order, as a small frame of its own: the runtime has to find
the face in it. Only people of pairsDevTrain with two pictures or more are in the training folder.
Each tenth of pairsDevTest's pairs is judged at the threshold that is best for the other nine, as in
LFW's View 2: on the people it was trained on any network looks better than it is, and a threshold
chosen on them is too high for others.
"""

from __future__ import annotations

import argparse
import zlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.bench.evaluate import best_threshold, encode_all, read_pairs
from edgeface.pipeline.detect import Detector
from edgeface.pipeline.pictures import Picture, read_picture
from edgeface.pipeline.pipeline import FacePipeline
from edgeface_tools.progress import bar

FACE_WIDTH = 40.0  # pixels, of the detector's box
GAMMA = 0.5
NOISE = 8.0  # grey levels of 255, deviation
CALIBRATE = 6  # every so manieth of the people is one to calibrate on
FOLDS = 10
_USUAL_FACE = 106.6  # pixels, View 1's median: for a picture in which the detector finds no face


def degraded(picture: Picture, face_width: float, random: np.random.Generator) -> Picture:
    """The picture (uint8 BGR) as the night camera sees it, with fewer pixels."""
    scale = min(1.0, FACE_WIDTH / face_width)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    dark = 255 * (small.astype(np.float64) / 255) ** (1 / GAMMA)
    noisy = dark + random.normal(0, NOISE, dark.shape)
    pixels = np.rint(noisy).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8)


def make_pictures(lfw: Path, out: Path) -> None:
    """`out`/night as LFW's images, degraded; `out`/train with people by day; `out`/calibrate with
    some of them, by day and by night."""
    named = {split: _pictures(lfw / f"pairsDev{split}.txt") for split in ("Train", "Test")}
    detector = Detector()
    paths = sorted(named["Train"] | named["Test"])
    with bar("degrading", len(paths)) as progress:
        for path in paths:
            _write_night(lfw, out, path, detector)
            progress()
    counts = Counter(path.parts[0] for path in named["Train"])
    people = sorted(name for name, pictures in counts.items() if pictures >= 2)
    for path in sorted(named["Train"]):
        if path.parts[0] in people:
            _link(out / "train" / path, lfw / "images" / path)
    for name in people[::CALIBRATE]:
        first = min(path for path in named["Train"] if path.parts[0] == name)
        _link(out / "calibrate" / name / "day.jpg", lfw / "images" / first)
        _link(out / "calibrate" / name / "night.png", out / "night" / first)


def _write_night(lfw: Path, out: Path, path: Path, detector: Detector) -> None:
    picture = read_picture(lfw / "images" / path)
    faces = detector.detect(picture, FACE_WIDTH, first_found=True)
    random = np.random.default_rng(zlib.crc32(path.name.encode()))
    night = degraded(picture, faces[0].box.width if faces else _USUAL_FACE, random)
    target = (out / "night" / path).with_suffix(".jpg")
    target.parent.mkdir(parents=True, exist_ok=True)
    # PNG inside, since JPEG would smooth the noise; the name is the one that pairs files use.
    target.write_bytes(cv2.imencode(".png", night)[1].tobytes())


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target.resolve())


def _pictures(pairs: Path) -> set[Path]:
    return {path for pair in read_pairs(pairs) for path in (pair.first, pair.second)}


def measure(lfw: Path, out: Path, models: list[Path]) -> None:
    """Accuracy on pairsDevTest by the runtime's pipeline, each tenth with the others' threshold."""
    print("| model | pictures | thresholds | accuracy | no face found |")
    print("| --- | --- | ---: | ---: | ---: |")
    pairs = read_pairs(lfw / "pairsDevTest.txt")
    same = np.array([pair.same for pair in pairs])
    pictures = sorted({path for pair in pairs for path in (pair.first, pair.second)})
    for model in models:
        pipeline = FacePipeline(model)
        for name, folder in (("day", lfw / "images"), ("night", out / "night")):
            with bar(f"{model.stem} {name}", len(pictures)) as progress:
                found = encode_all(pipeline, folder, pictures, progress)
            both = [(found[pair.first], found[pair.second]) for pair in pairs]
            scores = [-1.0 if a is None or b is None else float(a @ b) for a, b in both]
            accuracy, thresholds = _by_tenths(np.array(scores), same)
            missed = sum(embedding is None for embedding in found.values())
            between = f"{min(thresholds):.3f} to {max(thresholds):.3f}"
            print(
                f"| {model.stem} | {name} | {between} | {accuracy:.1%} | {missed} |",
                flush=True,
            )


def _by_tenths(scores: NDArray[np.float64], same: NDArray[np.bool_]) -> tuple[float, list[float]]:
    """The share decided rightly, and the threshold of each tenth. Pairs files are ordered, so every
    tenth pair makes a fold with as many of both kinds."""
    fold = np.arange(len(scores)) % FOLDS
    thresholds = [best_threshold(scores[fold != k], same[fold != k]) for k in range(FOLDS)]
    right = (scores >= np.array(thresholds)[fold]) == same
    return float(right.mean()), thresholds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("pictures", "measure"))
    parser.add_argument("lfw", type=Path, help="folder of View 1's images and pairs files")
    parser.add_argument("out", type=Path, help="folder for the degraded pictures")
    parser.add_argument("models", type=Path, nargs="*", help="described .tflite files")
    options = parser.parse_args()
    if options.what == "pictures":
        make_pictures(options.lfw, options.out)
    else:
        measure(options.lfw, options.out, options.models)


if __name__ == "__main__":
    main()
