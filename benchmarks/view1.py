"""LFW View 1 for the measurements: its pictures, and figures over all pairs.

Takes in the folder of View 1, hands on the pictures of a list, embeddings by the real pipeline, and
TAR at given FARs over every pair of two of them. It chooses nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeface.bench.evaluate import Pair, best_threshold, read_pairs

TRAIN, TEST = "pairsDevTrain.txt", "pairsDevTest.txt"
FARS = (1e-3, 1e-4, 1e-5)
FAILED = -1.0  # the score of a pair of which one picture gave no face


@dataclass(frozen=True)
class Split:
    """One list: its pairs, and the pictures they name in order."""

    folder: Path
    pairs: list[Pair]
    pictures: list[Path]

    @property
    def people(self) -> np.ndarray:
        """A number for each picture's person."""
        return np.unique([path.parts[0] for path in self.pictures], return_inverse=True)[1]


def split(view1: Path, name: str, most: int | None = None) -> Split:
    """The list `name` of View 1, or `most` of its pairs, of both kinds alike."""
    pairs = read_pairs(view1 / name)
    if most is not None:
        kinds = ([p for p in pairs if p.same], [p for p in pairs if not p.same])
        pairs = [pair for kind in kinds for pair in kind[: most // 2]]
    pictures = sorted({picture for pair in pairs for picture in (pair.first, pair.second)})
    return Split(view1 / "images", pairs, pictures)


def embed(wanted: Split, encode: Callable[[Path], np.ndarray | None]) -> np.ndarray:
    """The embedding of each picture, rows of NaN where there was no face."""
    rows: list[np.ndarray | None] = []
    for number, picture in enumerate(wanted.pictures):
        rows.append(encode(wanted.folder / picture))
        if number % 250 == 0:
            print(f"{number} of {len(wanted.pictures)}", file=sys.stderr)
    size = next(len(row) for row in rows if row is not None)
    return np.array([np.full(size, np.nan) if row is None else row for row in rows], np.float32)


def tar_over_cross_pairs(embeddings: np.ndarray, people: np.ndarray) -> list[float]:
    """TAR at each of `FARS` over every pair of two pictures; a failure counts as a refusal."""
    scores = np.nan_to_num(embeddings @ embeddings.T, nan=FAILED)
    upper = np.triu(np.ones(scores.shape, bool), 1)
    same = people[:, None] == people[None]
    genuine, impostor = scores[upper & same], np.sort(scores[upper & ~same])
    limits = [impostor[len(impostor) - 1 - int(far * len(impostor))] for far in FARS]
    return [float((genuine > limit).mean()) for limit in limits]


def pair_scores(wanted: Split, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The score of each pair of the list, and whether it shows one person."""
    place = {picture: number for number, picture in enumerate(wanted.pictures)}
    scores = [embeddings[place[p.first]] @ embeddings[place[p.second]] for p in wanted.pairs]
    return np.nan_to_num(np.array(scores), nan=FAILED), np.array([p.same for p in wanted.pairs])


def accuracy(
    train: tuple[Split, np.ndarray], test: tuple[Split, np.ndarray]
) -> tuple[float, float, float]:
    """The threshold with the fewest errors on train, and the accuracy on train and test at it."""
    scores, same = pair_scores(*train)
    threshold = best_threshold(scores, same)
    on_test, same_test = pair_scores(*test)
    right = ((scores >= threshold) == same).mean()
    return threshold, float(right), float(((on_test >= threshold) == same_test).mean())
