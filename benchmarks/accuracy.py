"""What was tried for accuracy, before and after: the table of docs/accuracy.md.

Takes in LFW View 1. Variants are compared only on pairsDevTrain, cross-validated by person: centre
and cohort are learned from two thirds of the people, and TAR is counted over all pairs of the other
third, in turn. pairsDevTest is used only for the variants that were ever shipped.

    .venv-tools/bin/python benchmarks/accuracy.py lfw-view1
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.view1 import TEST, TRAIN, accuracy, embed, split, tar_over_cross_pairs
from edgeface.errors import FaceError
from edgeface.pipeline.cohort import Cohort, cohort_rows, normalize, unit
from edgeface.pipeline.encode import Encoder
from edgeface.pipeline.model_file import load_model
from edgeface.pipeline.pictures import read_picture
from edgeface.pipeline.pipeline import FacePipeline
from edgeface_tools.people.cohort import cohort_of
from edgeface_tools.people.population import without_population

Move = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Embeddings to learn from and embeddings to move, at unit length before and after."""


def plain(known: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Cosines of what the network says."""
    return rows


def centred(known: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Minus the mean of the population."""
    return unit(rows - known.mean(axis=0))


def normalized(known: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """And away from the cohort around each."""
    spec = cohort_of(centred(known, known))
    return normalize(centred(known, rows), cohort_rows(spec, rows.shape[1]), spec)


def over_folds(rows: np.ndarray, people: np.ndarray, move: Move) -> list[float]:
    """TAR over the cross pairs of each third of the people, moved by the others; the mean."""
    third = np.random.default_rng(0).permutation(people.max() + 1)[people] % 3
    found = [
        tar_over_cross_pairs(move(rows[third != n], rows[third == n]), people[third == n])
        for n in range(3)
    ]
    return np.mean(found, axis=0).tolist()


def encodings(view1: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The bare network's embeddings of a list's pictures, without and with flip augmentation."""
    pipeline = FacePipeline()
    plainly = without_population(pipeline.model.description)
    encoder = Encoder(type(pipeline.model)(pipeline.model.path, plainly, plainly.identity))

    def both(path: Path) -> np.ndarray | None:
        frame = read_picture(path)
        try:
            crop = pipeline.crop(frame, pipeline.main_face(frame))
        except FaceError:
            return None
        return np.concatenate([encoder.encode(crop), encoder.encode(crop, flip_augmented=True)])

    rows = embed(split(view1, name), both)
    half = rows.shape[1] // 2
    return rows[:, :half], rows[:, half:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("view1", type=Path)
    view1 = parser.parse_args().view1
    train, test = split(view1, TRAIN), split(view1, TEST)
    on_train, on_test = encodings(view1, TRAIN), encodings(view1, TEST)
    print("pairsDevTrain, people by people | 1e-3 | 1e-4 | 1e-5")
    for label, move in (("cosine", plain), ("centre", centred), ("centre and cohort", normalized)):
        for number, rows in zip(("one encoding", "flip augmentation"), on_train, strict=True):
            found = over_folds(rows, train.people, move)
            print(f"{label}, {number} | " + " | ".join(f"{100 * tar:.1f} %" for tar in found))
    cohort = Cohort(load_model().description)
    print("\nshipped | TAR on pairsDevTest 1e-3 | 1e-4 | 1e-5 | threshold | train | test")
    names = ("one encoding", "flip augmentation")
    for number, one, other in zip(names, on_train, on_test, strict=True):
        normal = cohort.normalize(one), cohort.normalize(other)
        tars = tar_over_cross_pairs(normal[1], test.people)
        at, right, right_test = accuracy((train, normal[0]), (test, normal[1]))
        print(
            f"{number} | {' | '.join(f'{100 * tar:.1f} %' for tar in tars)} | {at:.4f} | "
            f"{100 * right:.2f} % | {100 * right_test:.1f} %"
        )


if __name__ == "__main__":
    main()
