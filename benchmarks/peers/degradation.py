"""What each degradation costs the shipped int8 model and the float32 Keras network.

Hands on Markdown. Every picture of View 1 test is degraded before detection; both networks get the
same degraded pictures through EdgeFace's detector and alignment and are normalized by the same
cohort, so only quantization differs. Each has its threshold from the original pairsDevTrain.
Pictures in which no face is found, or that the quality gates reject, are listed separately.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.view1 import TEST, TRAIN, Split, pair_scores, split
from edgeface.bench.evaluate import best_threshold
from edgeface.errors import FaceError
from edgeface.pipeline.cohort import Cohort, unit
from edgeface.pipeline.pictures import Picture, read_picture
from edgeface.pipeline.pipeline import FacePipeline
from edgeface_tools.people.faces import standardize
from edgeface_tools.source.fetch import fetch_facenet

_BATCH = 32
FACE_WIDTH = 100  # pixels of a face in LFW's pictures of 250, about


def _blurred(picture: Picture) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 2.5), np.uint8)


def _dark(picture: Picture) -> Picture:
    """A sixth of the light, and a sensor's noise."""
    noise = np.random.default_rng(int(picture.sum())).normal(0, 3, picture.shape)
    return np.clip(picture / 6 + noise, 0, 255).astype(np.uint8)


def _small(picture: Picture) -> Picture:
    """Faces 32 pixels wide, then enlarged for the detector as a digital zoom does."""
    scale = 32 / FACE_WIDTH
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(
        cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8
    )


def _jpeg(picture: Picture) -> Picture:
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 20])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _grey(picture: Picture) -> Picture:
    return np.asarray(
        cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8
    )


def _rotated(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 30, 1)
    return np.asarray(cv2.warpAffine(picture, turn, (width, height)), np.uint8)


def _half_covered(picture: Picture) -> Picture:
    """Below the nose, as a mask does."""
    covered = picture.copy()
    covered[136:190, 70:180] = (190, 190, 190)
    return covered


KINDS: dict[str, Callable[[Picture], Picture]] = {
    "as they are": lambda picture: picture,
    "blurred, sigma 2.5 px": _blurred,
    "dark, a sixth of the light": _dark,
    "faces of 32 px": _small,
    "JPEG at quality 20": _jpeg,
    "grey": _grey,
    "rotated by 30 degrees": _rotated,
    "lower half covered": _half_covered,
}


class _Networks:
    """The runtime's pipeline, and the float32 network on the same crops."""

    def __init__(self) -> None:
        from benchmarks.reference import keras as keras_reference

        self._pipeline = FacePipeline()
        self._keras = keras_reference.compiled(keras_reference.build(fetch_facenet().weights))
        self._cohort = Cohort(self._pipeline.model.description)

    def embed(
        self, wanted: Split, degrade: Callable[[Picture], Picture]
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """int8 and float32 embeddings of each picture, encoded once, rows of NaN where there is no
        face, and whether the gates let it pass."""
        print(f"{len(wanted.pictures)} pictures", file=sys.stderr)
        rows = [np.full((len(wanted.pictures), 128), np.nan, np.float32) for _ in range(2)]
        passed = np.zeros(len(wanted.pictures), bool)
        waiting: dict[int, np.ndarray] = {}
        spec = self._pipeline.model.description.input
        for number, path in enumerate(wanted.pictures):
            picture = degrade(read_picture(wanted.folder / path))
            try:
                face = self._pipeline.main_face(picture)
            except FaceError:
                continue
            subject = self._pipeline.encode(picture, face)
            rows[0][number] = subject.embedding
            passed[number] = not subject.quality.reasons
            crop = self._pipeline.crop(picture, face)
            waiting[number] = standardize(crop[..., ::-1], spec)[0]
            if len(waiting) == _BATCH:
                self._float32(waiting, rows[1])
        self._float32(waiting, rows[1])
        return rows, passed

    def _float32(self, waiting: dict[int, np.ndarray], rows: np.ndarray) -> None:
        if waiting:
            seen = np.asarray(self._keras(np.stack(list(waiting.values()))))
            rows[list(waiting)] = self._cohort.normalize(unit(seen))
            waiting.clear()


def report(view1: Path, pairs: int | None = None) -> str:
    """The table, in Markdown; `pairs` takes only so many of each list, for a trial."""
    networks = _Networks()
    train, test = (split(view1, name, pairs) for name in (TRAIN, TEST))
    rows, _ = networks.embed(train, KINDS["as they are"])
    thresholds = [best_threshold(*pair_scores(train, one)) for one in rows]
    lines = [
        "| pictures | int8 | float32 | difference | no face found | refused by the gates | "
        "int8, pairs that pass the gates |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind, degrade in KINDS.items():
        rows, passed = networks.embed(test, degrade)
        right = []
        for one, threshold in zip(rows, thresholds, strict=True):
            scores, same = pair_scores(test, one)
            right.append((scores >= threshold) == same)
        fit = _both_pass(test, passed)
        lost = np.isnan(rows[0][:, 0])
        share = f"{100 * right[0][fit].mean():.1f} % of {fit.sum()}" if fit.any() else "none"
        accuracy = [100 * one.mean() for one in right]
        lines.append(
            f"| {kind} | {accuracy[0]:.1f} % | {accuracy[1]:.1f} % | "
            f"{accuracy[0] - accuracy[1]:+.1f} | {lost.mean():.1%} | "
            f"{(~passed & ~lost).mean():.1%} | {share} |"
        )
    return "\n".join(lines)


def _both_pass(wanted: Split, passed: np.ndarray) -> np.ndarray:
    place = {picture: number for number, picture in enumerate(wanted.pictures)}
    return np.array([passed[place[p.first]] and passed[place[p.second]] for p in wanted.pairs])
