"""Evaluate: accuracy on a list of pairs in the format of Labeled Faces in the Wild.

Takes in a pairs file, a folder of pictures and the pipeline, hands on an `Evaluation`. Every pair
counts: a picture in which no face is found is a failure to acquire, and its pairs are rejected. It
drives the real pipeline and changes nothing.

Format and protocol: Huang et al. 2007, "Labeled Faces in the Wild", section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import ConfigError, FaceError
from edgeface.pipeline.encode import Embedding
from edgeface.pipeline.pictures import read_picture
from edgeface.pipeline.pipeline import FacePipeline

FARS = (0.01, 0.001)
FAILED = -1.0  # the score of a pair that could not be compared: no cosine is lower
_FOLDS = 10


@dataclass(frozen=True)
class Pair:
    """Two pictures, by path below the images folder, and whether they show one person."""

    first: Path
    second: Path
    same: bool


@dataclass(frozen=True)
class Evaluation:
    """Accuracy over `pairs`.

    accuracy, accuracy_std: mean and standard deviation over ten folds, each judged at the given
    threshold or, without one, at the best threshold of the other nine. eer: where FAR equals FRR.
    tar: share of genuine pairs accepted at each FAR. auc: area under the ROC curve. threshold: the
    given one, else the mean over the folds. failures: pictures in which no face was found.
    """

    pairs: int
    failures: int
    accuracy: float
    accuracy_std: float
    eer: float
    tar: dict[str, float]
    auc: float
    threshold: float


def read_pairs(path: Path) -> list[Pair]:
    """Read `NAME i j` (same person) and `NAME1 i NAME2 j` lines, separated by tabs.

    A first line of only numbers is a header. Raises ConfigError that names the wrong line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the pairs file {path}: {error}") from None
    if lines and all(part.isdigit() for part in lines[0].split()):
        lines[0] = ""
    pairs = [
        _parse(line, f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not any(pair.same for pair in pairs) or all(pair.same for pair in pairs):
        raise ConfigError(
            f"the pairs file {path} needs pairs of the same person and pairs of two people"
        )
    return pairs


def _parse(line: str, place: str) -> Pair:
    match line.split("\t"):
        case [name, i, j] if i.isdigit() and j.isdigit():
            return Pair(_picture(name, i), _picture(name, j), True)
        case [name, i, other, j] if i.isdigit() and j.isdigit():
            return Pair(_picture(name, i), _picture(other, j), False)
    raise ConfigError(
        f"{place}: expected NAME<TAB>i<TAB>j or NAME1<TAB>i<TAB>NAME2<TAB>j, not {line!r}"
    )


def _picture(name: str, number: str) -> Path:
    return Path(name) / f"{name}_{int(number):04d}.jpg"


def encode_all(
    pipeline: FacePipeline, folder: Path, pictures: Iterable[Path], progress: Callable[[], None]
) -> dict[Path, Embedding | None]:
    """The main face of each picture, encoded with flip augmentation; None where none was found.

    Templates are encoded that way, and so is a probe whose first score is near the threshold, so at
    any threshold the answers are those of `verify`.

    Raises PictureError for a file that is missing or not a picture.
    """
    embeddings: dict[Path, Embedding | None] = {}
    for picture in pictures:
        frame = read_picture(folder / picture)
        try:
            subject = pipeline.encode(frame, pipeline.main_face(frame), flip_augmented=True)
            embeddings[picture] = subject.embedding
        except FaceError:
            embeddings[picture] = None
        progress()
    return embeddings


def evaluate(
    pairs: list[Pair], embeddings: dict[Path, Embedding | None], threshold: float | None = None
) -> Evaluation:
    """Score every pair and summarize; `threshold`, if given, is used instead of choosing one.

    Raises ConfigError when there are too few pairs to choose one.
    """
    scores = np.array([_score(embeddings[p.first], embeddings[p.second]) for p in pairs])
    same = np.array([p.same for p in pairs])
    if threshold is None and min(same.sum(), (~same).sum()) < 2:
        raise ConfigError(
            "choosing a threshold takes at least two pairs of each kind; give --threshold"
        )
    right, accuracies, thresholds = _over_folds(scores, same, threshold)
    genuine, impostor = np.sort(scores[same]), np.sort(scores[~same])
    return Evaluation(
        pairs=len(pairs),
        failures=sum(embedding is None for embedding in embeddings.values()),
        accuracy=float(right.mean()),
        accuracy_std=float(accuracies.std(ddof=1)) if len(accuracies) > 1 else 0.0,
        eer=_equal_error_rate(genuine, impostor),
        tar={f"{far:g}": _tar_at_far(genuine, impostor, far) for far in FARS},
        auc=float(np.searchsorted(impostor, genuine).mean() / len(impostor)),
        threshold=float(np.mean(thresholds)),
    )


def _score(first: Embedding | None, second: Embedding | None) -> float:
    return FAILED if first is None or second is None else float(first @ second)


def _over_folds(
    scores: NDArray[np.float64], same: NDArray[np.bool_], threshold: float | None
) -> tuple[NDArray[np.bool_], NDArray[np.float64], list[float]]:
    """Which pairs are judged correctly, and each fold's accuracy and threshold.

    Each fold has an equal share of both kinds, in file order. For LFW's View 2 (ten blocks of 300
    same and 300 different) these are its own folds.
    """
    fold = np.empty(len(scores), np.int64)
    for kind in (True, False):
        members = np.flatnonzero(same == kind)
        fold[members] = np.arange(len(members)) * _FOLDS // len(members)
    right = np.zeros(len(scores), bool)
    accuracies, thresholds = [], []
    for number in range(_FOLDS):
        held = fold == number
        if not held.any():
            continue
        chosen = best_threshold(scores[~held], same[~held]) if threshold is None else threshold
        right[held] = (scores[held] >= chosen) == same[held]
        accuracies.append(float(right[held].mean()))
        thresholds.append(chosen)
    return right, np.array(accuracies), thresholds


def best_threshold(scores: NDArray[np.float64], same: NDArray[np.bool_]) -> float:
    """The threshold with the fewest errors: midway between two neighbouring scores.

    Of several equally good ones the middle one, with the most margin on both sides.
    """
    order = np.argsort(scores, kind="stable")
    ordered, kinds = scores[order], same[order]
    # errors[i]: everything before i is rejected, everything from i on accepted
    refused_genuine = np.concatenate(([0], np.cumsum(kinds)))
    accepted_impostor = np.concatenate((np.cumsum(~kinds[::-1])[::-1], [0]))
    errors = refused_genuine + accepted_impostor
    edges = np.concatenate(
        (ordered[:1], (ordered[1:] + ordered[:-1]) / 2, [np.nextafter(ordered[-1], np.inf)])
    )
    parted = np.concatenate(([True], ordered[1:] > ordered[:-1], [True]))  # equals stay together
    best = np.flatnonzero(parted & (errors == errors[parted].min()))
    return float(edges[best[len(best) // 2]])


def _tar_at_far(genuine: NDArray[np.float64], impostor: NDArray[np.float64], far: float) -> float:
    """Share of genuine scores above the score that at most `far` of the impostors exceed."""
    allowed = int(far * len(impostor))
    limit = impostor[len(impostor) - 1 - allowed]
    return float((genuine > limit).mean())


def _equal_error_rate(genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> float:
    """The rate at which rejected genuine and accepted impostor pairs are equally frequent."""
    thresholds = np.unique(np.concatenate((genuine, impostor)))
    frr = np.searchsorted(genuine, thresholds) / len(genuine)
    far = 1 - np.searchsorted(impostor, thresholds) / len(impostor)
    nearest = int(np.argmin(np.abs(frr - far)))
    return float((frr[nearest] + far[nearest]) / 2)
