"""Encode the same aligned faces on two machines, and compare the results.

    parity.py make CROPS.npy [LFW]     50 aligned faces (on the workstation)
    parity.py encode CROPS.npy OUT.npy (anywhere edgeface is installed)

The faces are variations (light, turn, size, noise) of the shipped portraits, or, where the pictures
of Labeled Faces in the Wild are given, 50 of its faces.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.decide import threshold_for_far
from edgeface.demo.decisions import PORTRAITS
from edgeface.errors import FaceError
from edgeface.pipeline.encode import Encoder
from edgeface.pipeline.model_file import load_model
from edgeface.pipeline.pictures import Picture, read_picture
from edgeface.pipeline.pipeline import FacePipeline

FACES = 50
FARS = (1e-2, 1e-3, 1e-4, 1e-5)


@dataclass(frozen=True)
class Parity:
    """How far two machines agree on the same faces."""

    faces: int
    least_cosine: float
    median_cosine: float
    decisions: int
    different: int


def make(path: Path, lfw: Path | None) -> None:
    """Write the aligned faces, shape (50, size, size, 3), uint8 BGR."""
    pipeline = FacePipeline()
    crops: list[NDArray[np.uint8]] = []
    for picture in _lfw(lfw) if lfw else _views():
        try:
            crops.append(pipeline.crop(picture, pipeline.main_face(picture)).copy())
        except FaceError:
            continue
        if len(crops) == FACES:
            np.save(path, np.stack(crops))
            return
    sys.exit(f"only {len(crops)} of {FACES} faces were found")


def encode(crops: Path, out: Path) -> None:
    """Write the embeddings of the aligned faces, shape (50, n)."""
    encoder = Encoder(load_model())
    np.save(out, np.stack([encoder.encode(crop) for crop in np.load(crops)]))


def compare(here: Path, there: Path) -> Parity:
    """Cosines of the same faces, and yes or no for every pair of faces at every FAR of `FARS`."""
    ours, theirs = np.load(here), np.load(there)
    cosines = (ours * theirs).sum(axis=1)
    pairs = np.triu_indices(len(ours), 1)
    model = load_model()
    different = 0
    for far in FARS:
        threshold = threshold_for_far(model, far)
        different += int(
            (
                ((ours @ ours.T)[pairs] >= threshold) != ((theirs @ theirs.T)[pairs] >= threshold)
            ).sum()
        )
    return Parity(
        len(ours),
        float(cosines.min()),
        float(np.median(cosines)),
        len(FARS) * len(pairs[0]),
        different,
    )


def _views() -> list[Picture]:
    chance = np.random.default_rng(7)
    views = []
    for number in range(2 * FACES):
        portrait = read_picture(sorted(PORTRAITS.glob("*.jpg"))[number % 5])
        height, width = portrait.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), chance.uniform(-15, 15), 1.0)
        turned = cv2.warpAffine(portrait, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        lit = cv2.convertScaleAbs(
            turned, alpha=chance.uniform(0.6, 1.3), beta=chance.uniform(-25, 25)
        )
        noise = chance.normal(0, chance.uniform(0, 12), lit.shape)
        views.append((lit + noise).clip(0, 255).astype(np.uint8))
    return views


def _lfw(folder: Path) -> list[Picture]:
    """Two pictures each of the first people who have two, so that both answers occur."""
    people = sorted(person for person in (folder / "images").iterdir() if person.is_dir())
    pairs = [sorted(person.glob("*.jpg"))[:2] for person in people]
    chosen = [path for pair in pairs if len(pair) == 2 for path in pair][: FACES + 10]
    return [read_picture(path) for path in chosen]


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
    else:
        encode(Path(sys.argv[2]), Path(sys.argv[3]))
