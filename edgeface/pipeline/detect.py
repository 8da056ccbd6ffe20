"""Detect: finds faces and their landmarks in a frame with BlazeFace.

Takes in a frame (uint8 BGR, shape (H, W, 3)), hands on `Face`s in the frame's own pixels, the
largest first. It judges neither who a face is nor whether it is good enough.

Network: BlazeFace short range (Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face
Detection on Mobile GPUs"): 128 x 128 RGB in [-1, 1]; 896 anchors, each with a score and 16 numbers
relative to the anchor's centre in units of the input: box centre, box size and six landmarks. It
finds faces from about an eighth of its input upwards, so a large frame is searched first as a whole
and then in smaller overlapping squares (squares.py). A face that is small in its square is detected
again in a closer one, and so is what the smallest squares show faintly. Uncertain detections are
checked by the face mesh network, which distinguishes a face from a folded sleeve.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.geometry import Box, Point, contains, overlap
from edgeface.pipeline.mesh import FaceMesh
from edgeface.pipeline.model_file import shipped_network
from edgeface.pipeline.pictures import Picture
from edgeface.pipeline.runtime import open_network
from edgeface.pipeline.squares import SURELY_FOUND, Square, around, levels

NETWORK_FILE = "blazeface-short-range.tflite"
NETWORK_SHA256 = "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633"

_INPUT = 128
_LAYERS = ((16, 2), (8, 6))  # cells per side, anchors per cell
_POSSIBLE, _SURE = 0.5, 0.8  # scores: below the first no face, from the second on certainly one
_FAINT = 0.27  # score from which the smallest squares show something worth a closer look
_CONFIRMED = 0.1  # presence by the mesh that confirms a possible face seen twice; sleeves give 0.04
_SURELY = 0.95  # presence from which a possible face is sure; a wheel gives 0.88
_SAME_FACE = 0.3  # overlap above which two candidates are one face (MediaPipe's value)
_WELL_SEEN = 0.2  # of a square's side: what it hardly shows as a face from this width on is none
_ROUGH = 0.25  # of a square's side: smaller faces have rough landmarks and are detected again


class Landmarks(NamedTuple):
    """Where the parts of a face are, (right_eye, left_eye, nose, mouth), in frame pixels; right and
    left are the person's own.

    `np.array(landmarks)` has shape (4, 2).
    """

    right_eye: Point
    left_eye: Point
    nose: Point
    mouth: Point


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
    presence: float | None = None
    """The mesh network's probability that this is a face, where the detector asked it."""

    @property
    def landmarks(self) -> Landmarks:
        """The four points together."""
        return Landmarks(self.right_eye, self.left_eye, self.nose, self.mouth)

    @property
    def sure(self) -> bool:
        """Whether the detector or the mesh network is certain that this is a face."""
        return self.certainty > 0

    @property
    def certainty(self) -> int:
        """2 where the detector is certain; 1 where only the mesh network is, which confirms a box
        of twice the face's size as well; otherwise 0."""
        if self.score >= _SURE:
            return 2
        return int((self.presence or 0.0) >= _SURELY)


class Detector:
    """An open BlazeFace network with its buffers. One thread at a time."""

    def __init__(self, threads: int = 1) -> None:
        # One thread: with two, networks as small as these take longer.
        self._threads = threads
        self._network = open_network(shipped_network(NETWORK_FILE, NETWORK_SHA256), threads)
        shapes = [output.shape[-1] for output in self._network.outputs]
        self._boxes_at, self._scores_at = shapes.index(16), shapes.index(1)
        self._anchors = _anchor_centres()
        self._shrunk: Picture = np.empty((_INPUT, _INPUT, 3), np.uint8)

    @cached_property
    def mesh(self) -> FaceMesh:
        """The mesh network that confirms faces, opened when first needed; others may use it from
        the same thread."""
        return FaceMesh(self._threads)

    def detect(
        self,
        frame: Picture,
        smallest: float | None = None,
        *,
        first_found: bool = False,
        least_share: float = 0.0,
    ) -> list[Face]:
        """Faces in `frame` (uint8 BGR, shape (H, W, 3)), the largest first.

        `smallest` is the width in pixels down to which faces are searched for; by default the whole
        frame is searched once, which finds faces from an eighth of its longer side. With
        `first_found` the search ends at the first size of square that shows a sure face. Faces
        narrower than `least_share` of the widest sure one may be left out.
        """
        kept: list[Face] = []
        seen = math.inf
        plan = list(levels(frame.shape[1], frame.shape[0], smallest))
        for squares in plan:
            last = squares is plan[-1] and smallest is not None
            self._add(frame, squares, kept, _FAINT if last else _POSSIBLE, seen)
            seen = _WELL_SEEN * squares[0].side
            widest = max((face.box.width for face in kept if face.sure), default=0.0)
            if first_found and widest:
                break
            if squares[0].side * SURELY_FOUND <= least_share * widest:
                break
        return sorted(kept, key=lambda face: face.box.width, reverse=True)

    def detect_in(
        self, frame: Picture, squares: Iterable[Square], *, faint: bool = False
    ) -> list[Face]:
        """Faces in these squares of `frame` alone, the largest first; see `around`, `levels`.

        For video: a known face is found again in the one square around its box, and the search for
        small ones can be spread over frames. Of faces that overlap by 0.3 one is returned. With
        `faint` what the squares show faintly is examined in a closer one.
        """
        kept: list[Face] = []
        self._add(frame, squares, kept, _FAINT if faint else _POSSIBLE)
        return sorted(kept, key=lambda face: face.box.width, reverse=True)

    def _add(
        self,
        frame: Picture,
        squares: Iterable[Square],
        kept: list[Face],
        least: float,
        seen: float = math.inf,
    ) -> None:
        """Add the faces in `squares` that are not among those kept, by falling score from `least`.

        A face takes the place of less certain ones. A faint one must prove to be a sure one, and a
        doubtful one from a width of `seen` on, where larger squares show no face, is none.
        """
        found = [
            (face, square)
            for square in squares
            for face in self._faces_in(frame, square, least)
            if face.score >= _SURE or face.box.width < seen
        ]
        found.sort(key=lambda pair: pair[0].score, reverse=True)
        for rough, square in found:
            if _among_certain(rough, kept):
                continue
            face = self._examined(frame, rough, square)
            if face is None or _among_certain(face, kept):
                continue
            same = [other for other in kept if overlap(face.box, other.box) >= _SAME_FACE]
            if all(other.certainty < face.certainty for other in same):
                kept[:] = [other for other in kept if other not in same] + [face]

    def _examined(self, frame: Picture, face: Face, square: Square) -> Face | None:
        """The face as a closer square shows it where it is small or doubtful in its own, and as the
        mesh network confirms it where it is doubtful even so. None if it is no face."""
        faint, best, seen_again = face.score < _POSSIBLE, face, False
        if face.box.width < _ROUGH * square.side or face.score < _SURE:
            again = [
                other
                for other in self._faces_in(frame, around(face.box), _POSSIBLE)
                if contains(other.box, face.box.centre) and contains(face.box, other.box.centre)
            ]
            best = max(again, key=lambda other: other.score, default=face)
            seen_again = bool(again)
        if best.score < _POSSIBLE or best.sure:
            return best if best.sure else None
        mesh = self.mesh.fit(frame, best.box, best.right_eye, best.left_eye)
        needed = _CONFIRMED if seen_again and not faint else _SURELY
        return replace(best, presence=mesh.presence) if mesh.presence >= needed else None

    def _faces_in(self, frame: Picture, square: Square, least: float) -> list[Face]:
        self._load(frame, square)
        self._network.run()
        logits = self._network.output_view(self._scores_at)[0, :, 0]
        likely = np.flatnonzero(logits > math.log(least / (1 - least)))
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

    def _load(self, frame: Picture, square: Square) -> None:
        """Shrink one square of the frame into the network's input, RGB in [-1, 1]."""
        height, width = frame.shape[:2]
        right, bottom = min(width, square.x + square.side), min(height, square.y + square.side)
        left, top = max(0, square.x), max(0, square.y)
        part = frame[top:bottom, left:right]
        shrink = square.side / _INPUT
        while shrink >= 2 and min(part.shape[:2]) >= 2:
            # Halving has a fast path; averaging at once takes two to three times as long.
            height, width = part.shape[0] // 2, part.shape[1] // 2
            part = cv2.resize(  # type: ignore[assignment]
                part[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA
            )
            shrink /= 2
        scale = _INPUT / square.side
        x0 = min(_INPUT - 1, round((left - square.x) * scale))
        y0 = min(_INPUT - 1, round((top - square.y) * scale))
        x1 = max(x0 + 1, round((right - square.x) * scale))
        y1 = max(y0 + 1, round((bottom - square.y) * scale))
        self._shrunk.fill(0)
        cv2.resize(
            part,
            (x1 - x0, y1 - y0),
            dst=self._shrunk[y0:y1, x0:x1],
            interpolation=cv2.INTER_LINEAR if 1 <= shrink < 2 else cv2.INTER_AREA,
        )
        cv2.cvtColor(self._shrunk, cv2.COLOR_BGR2RGB, dst=self._shrunk)
        view = self._network.input_view()[0]
        np.multiply(self._shrunk, np.float32(1 / 127.5), out=view)
        np.subtract(view, np.float32(1), out=view)


def _anchor_centres() -> NDArray[np.float32]:
    centres = []
    for cells, anchors in _LAYERS:
        along = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / cells
        grid = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
        centres.append(np.repeat(grid, anchors, axis=0))
    return np.concatenate(centres)


def _among_certain(face: Face, kept: list[Face]) -> bool:
    """Whether a face is one that the detector is certain of, or, too faint itself, within one."""
    return any(
        other.score >= _SURE
        and (
            overlap(face.box, other.box) >= _SAME_FACE
            or (face.score < _POSSIBLE and contains(other.box, face.box.centre))
        )
        for other in kept
    )


def _merge(
    points: NDArray[np.float32], scores: NDArray[np.float64], square: Square
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


def _cut_by_square(box: Box, square: Square, frame: tuple[int, int]) -> bool:
    """Whether a box ends at its square's side but not at the frame's: a neighbour has it whole."""
    margin = box.width * 0.05
    width, height = frame
    return (
        (square.x > 0 and box.x < square.x + margin)
        or (square.y > 0 and box.y < square.y + margin)
        or (square.x + square.side < width and box.x + box.width > square.x + square.side - margin)
        or (
            square.y + square.side < height and box.y + box.height > square.y + square.side - margin
        )
    )
