"""Detect: finds faces and their landmarks in a frame with BlazeFace.

Takes in a frame (uint8 BGR, shape (H, W, 3)), hands on `Face`s in the frame's own pixels, the
largest first. It judges neither who a face is nor whether it is good enough.

Network: BlazeFace short range (Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face
Detection on Mobile GPUs"): 128 x 128 RGB in [-1, 1]; 896 anchors, each with a score and 16 numbers
relative to the anchor's centre in units of the input: box centre, box size and six landmarks. It
sees faces from about an eighth of its input upwards, so a large frame is looked at first as a
whole and then in ever smaller overlapping squares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.errors import ModelError
from edgeface.geometry import Box, Point, overlap
from edgeface.model import models_folder
from edgeface.runtime import open_network

Picture = NDArray[np.uint8]

NETWORK_FILE = "blazeface-short-range.tflite"
NETWORK_SHA256 = "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633"

_INPUT = 128
_LAYERS = ((16, 2), (8, 6))  # cells a side, anchors a cell
_SAME_FACE = 0.3  # overlap above which two candidates are one face (MediaPipe's value)
_SMALLEST_SHARE = 1 / 8  # of a square's side: the smallest face the network finds in it
_TILE_OVERLAP = 1 / 3  # neighbouring squares share this, so that no findable face is cut by both


@dataclass(frozen=True)
class Face:
    """One detected face; right and left are the person's own. Positions are in frame pixels,
    where the upper left pixel's centre is (0.5, 0.5)."""

    box: Box
    right_eye: Point
    left_eye: Point
    nose: Point
    mouth: Point
    score: float


@dataclass(frozen=True)
class _Square:
    """A square of the frame to look at; it may reach beyond the frame (seen as black)."""

    x: int
    y: int
    side: int


class Detector:
    """An open BlazeFace network with its buffers. One thread at a time."""

    def __init__(self, threads: int | None = None, minimum_score: float = 0.5) -> None:
        path = models_folder() / NETWORK_FILE
        _check_file(path)
        self._network = open_network(path, threads)
        shapes = [output.shape[-1] for output in self._network.outputs]
        self._boxes_at, self._scores_at = shapes.index(16), shapes.index(1)
        self._anchors = _anchor_centres()
        self._look: Picture = np.empty((_INPUT, _INPUT, 3), np.uint8)
        self._minimum_logit = float(np.log(minimum_score / (1 - minimum_score)))

    def detect(self, frame: Picture, smallest: int | None = None) -> list[Face]:
        """Faces in `frame` (uint8 BGR, shape (H, W, 3)), the largest first.

        `smallest` is the width in pixels down to which small faces are searched for; the default
        is to look at the whole frame once, which finds faces from an eighth of its longer side.
        """
        found: list[Face] = []
        for square in _squares(frame.shape[1], frame.shape[0], smallest):
            found += self._faces_in(frame, square)
        found.sort(key=lambda face: face.score, reverse=True)
        kept: list[Face] = []
        for face in found:
            if all(overlap(face.box, other.box) < _SAME_FACE for other in kept):
                kept.append(face)
        return sorted(kept, key=lambda face: face.box.width * face.box.height, reverse=True)

    def _faces_in(self, frame: Picture, square: _Square) -> list[Face]:
        self._load(frame, square)
        self._network.run()
        logits = self._network.output_view(self._scores_at)[0, :, 0]
        likely = np.flatnonzero(logits > self._minimum_logit)
        if not likely.size:
            return []
        scores = 1 / (1 + np.exp(-logits[likely].astype(np.float64)))
        points = self._network.output_view(self._boxes_at)[0, likely].reshape(-1, 8, 2) / _INPUT
        del logits  # the next run needs the interpreter's memory to itself
        points[:, 0] += self._anchors[likely]
        points[:, 2:] += self._anchors[likely, None]
        frame_size = (frame.shape[1], frame.shape[0])
        return [
            face
            for face in _merge(points, scores, square)
            if not _cut_by_square(face.box, square, frame_size)
        ]

    def _load(self, frame: Picture, square: _Square) -> None:
        """Shrink one square of the frame into the network's input, RGB in [-1, 1]."""
        height, width = frame.shape[:2]
        right, bottom = min(width, square.x + square.side), min(height, square.y + square.side)
        left, top = max(0, square.x), max(0, square.y)
        scale = _INPUT / square.side
        x0, x1 = round((left - square.x) * scale), round((right - square.x) * scale)
        y0, y1 = round((top - square.y) * scale), round((bottom - square.y) * scale)
        self._look.fill(0)
        cv2.resize(
            frame[top:bottom, left:right],
            (x1 - x0, y1 - y0),
            dst=self._look[y0:y1, x0:x1],
            interpolation=cv2.INTER_AREA,
        )
        cv2.cvtColor(self._look, cv2.COLOR_BGR2RGB, dst=self._look)
        view = self._network.input_view()[0]
        np.multiply(self._look, np.float32(1 / 127.5), out=view)
        np.subtract(view, np.float32(1), out=view)


def _check_file(path: Path) -> None:
    try:
        intact = hashlib.sha256(path.read_bytes()).hexdigest() == NETWORK_SHA256
    except OSError:
        intact = False
    if not intact:
        raise ModelError(f"the detector {path} is missing or damaged; install edgeface again")


def _anchor_centres() -> NDArray[np.float32]:
    centres = []
    for cells, anchors in _LAYERS:
        along = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / cells
        grid = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
        centres.append(np.repeat(grid, anchors, axis=0))
    return np.concatenate(centres)


def _squares(width: int, height: int, smallest: int | None) -> Iterator[_Square]:
    """The whole frame as one square, then smaller squares until `smallest` can be found."""
    side = max(width, height)
    yield _Square((width - side) // 2, (height - side) // 2, side)
    if smallest is None:
        return
    short = min(width, height)
    while side * _SMALLEST_SHARE > smallest:
        # The first level of squares is as high as the frame, each next half as large.
        side = short if side > short else side // 2
        for y in _starts(height, side):
            for x in _starts(width, side):
                yield _Square(x, y, side)


def _starts(length: int, side: int) -> list[int]:
    """Where squares of `side` start so that they cover `length` and overlap enough."""
    room = length - side
    if room <= 0:
        return [0]
    steps = int(np.ceil(room / (side * (1 - _TILE_OVERLAP))))
    return [round(room * i / steps) for i in range(steps + 1)]


def _merge(
    points: NDArray[np.float32], scores: NDArray[np.float64], square: _Square
) -> Iterator[Face]:
    """Weighted non-maximum suppression: each face is the mean of its candidates by score."""
    low, high = points[:, 0] - points[:, 1] / 2, points[:, 0] + points[:, 1] / 2
    area = points[:, 1].prod(axis=1)
    left = np.argsort(-scores)
    while left.size:
        best = left[0]
        shared = np.minimum(high[best], high[left]) - np.maximum(low[best], low[left])
        shared_area = shared.clip(0).prod(axis=1)
        same = shared_area > _SAME_FACE * (area[best] + area[left] - shared_area)
        same[0] = True  # itself, even if its box is degenerate
        group = left[same]
        mean = np.average(points[group], axis=0, weights=scores[group]).astype(np.float64)
        size = mean[1] * square.side
        spots = mean * square.side + (square.x, square.y)
        corner = spots[0] - size / 2
        right_eye, left_eye, nose, mouth = (Point(*map(float, spot)) for spot in spots[2:6])
        box = Box(float(corner[0]), float(corner[1]), float(size[0]), float(size[1]))
        yield Face(box, right_eye, left_eye, nose, mouth, float(scores[best]))
        left = left[~same]


def _cut_by_square(box: Box, square: _Square, frame: tuple[int, int]) -> bool:
    """Whether a box reaches a side of its square where the frame goes on: a neighbour sees it
    whole."""
    margin = box.width * 0.05
    width, height = frame
    return (
        (square.x > 0 and box.x < square.x + margin)
        or (square.y > 0 and box.y < square.y + margin)
        or (square.x + square.side < width and box.x + box.width > square.x + square.side - margin)
        or (
            square.y + square.side < height
            and box.y + box.height > square.y + square.side - margin
        )
    )
