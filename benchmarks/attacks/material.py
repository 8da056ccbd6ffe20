"""Material: pictures for the attacks, and clips of living people.

Takes in the folders of LFW's View 1 and of the live clips, hands on stills of distinct people,
clips framed as a print would be, the holes of a print, and stills animated by a clip. Nothing here
is shipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.detect import Detector, Face
from edgeface.pipeline.geometry import similarity
from edgeface.pipeline.mesh import FaceMesh
from edgeface.pipeline.pictures import Picture

_EYES_AT = np.array(((0.39, 0.46), (0.61, 0.46)))  # of the picture's side, as LFW frames a face
_RIGHT_EYE, _LEFT_EYE = (33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380)
_LIPS = (61, 39, 0, 269, 291, 405, 17, 181)


def people(images: Path) -> list[Path]:
    """One picture of each person of View 1, in the order of their names."""
    folders = sorted(path for path in images.iterdir() if path.is_dir())
    found = [min(folder.glob("*.jpg"), default=None) for folder in folders]
    return [path for path in found if path is not None]


def frames(clip: Path, rate: float) -> Iterator[tuple[float, Picture]]:
    """Frames of a clip at about `rate` a second, with their times."""
    video = cv2.VideoCapture(str(clip))
    own = video.get(cv2.CAP_PROP_FPS)
    due, number = 0.0, 0
    while True:
        found, picture = video.read()
        if not found:
            break
        time = number / own
        number += 1
        if time + 1e-6 >= due:
            due += 1 / rate
            yield time, np.asarray(picture, np.uint8)
    video.release()


class Footage:
    """A clip in memory, framed as LFW frames a face, shape (side, side, 3), at `rate` a second."""

    def __init__(self, clip: Path, detector: Detector, side: int = 320, rate: float = 10.0) -> None:
        self.rate, self.pictures, self.steady = rate, [], []
        matrix: NDArray[np.float64] | None = None
        smooth = None
        target = _EYES_AT * side
        for _, picture in frames(clip, rate):
            faces = detector.detect(picture, 60, first_found=True)
            if not faces:
                self.cut_here()
                continue
            eyes = np.array((faces[0].right_eye, faces[0].left_eye)) - 0.5
            smooth = eyes if smooth is None else 0.9 * smooth + 0.1 * eyes
            matrix = similarity(smooth, target)
            self.pictures.append(_framed(picture, matrix, side))
            self.steady.append(_framed(picture, similarity(eyes, target), side))

    def cut_here(self) -> None:
        """Nobody in view: the clip continues with the next frame that shows a face."""

    def from_(self, start: int, *, steady: bool = False) -> Callable[[float], Picture]:
        """The picture at a time, from a frame on, back and forth; `steady` fixes the eyes."""
        pictures = self.steady if steady else self.pictures
        last = len(pictures) - 1

        def show(time: float) -> Picture:
            place = (start + round(time * self.rate)) % (2 * last)
            return pictures[min(place, 2 * last - place)]

        return show


def _framed(picture: Picture, matrix: NDArray[np.float64], side: int) -> Picture:
    return np.asarray(
        cv2.warpAffine(picture, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def framed_still(picture: Picture, face: Face, side: int = 320) -> Picture:
    """A still framed as the clips are, its eyes where theirs are."""
    eyes = np.array((face.right_eye, face.left_eye)) - 0.5
    return _framed(picture, similarity(eyes, _EYES_AT * side), side)


def holes_in(still: Picture, face: Face, mesh: FaceMesh, which: Sequence[str]) -> NDArray[np.uint8]:
    """Where eyes or mouth of a framed still were cut out: uint8, shape of the still."""
    points = mesh.fit(still, face.box, face.right_eye, face.left_eye).points
    holes = np.zeros(still.shape[:2], np.uint8)
    cut = {"eyes": ((_RIGHT_EYE, 1.25, 1.9), (_LEFT_EYE, 1.25, 1.9)), "mouth": ((_LIPS, 1.2, 1.5),)}
    for outline, wider, higher in (one for name in which for one in cut[name]):
        hull = cv2.convexHull(points[list(outline)].astype(np.float32)).reshape(-1, 2)
        centre = hull.mean(axis=0)
        wide = (hull - centre) * (wider, higher) + centre  # the holes show the wearer's lids too
        cv2.fillPoly(holes, [np.round(wide).astype(np.int32)], 255)
    return np.asarray(cv2.GaussianBlur(holes, (0, 0), 0.8), np.uint8)


class AnimatedStill:
    """A framed still, warped as the face of a clip moves: what a program makes of a photo."""

    def __init__(self, still: Picture, face: Face, mesh: FaceMesh) -> None:
        self._still = still
        self._points = _mesh_points(still, face, mesh)
        side = still.shape[0]
        steps = np.linspace(0, side - 1, _NODES)
        self._nodes = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        away = ((self._nodes[:, None] - self._points[None]) ** 2).sum(axis=2)
        near = np.exp(-away / (2 * (0.05 * side) ** 2)) + 1e-9
        # Far from the face the picture stays where it is.
        self._hold = np.clip(near.sum(axis=1) / 2.0, 0, 1)[:, None]
        self._near = near / near.sum(axis=1, keepdims=True)

    def at(self, first: NDArray[np.float64], now: NDArray[np.float64]) -> Picture:
        """The still moved as the driving points (n, 2) have moved since `first`."""
        matrix = similarity(first, self._points)[:, :2]
        moved = self._hold * (self._near @ ((now - first) @ matrix.T))
        places = (self._nodes - moved).astype(np.float32).reshape(_NODES, _NODES, 2)
        side = self._still.shape[0]
        fine = cv2.resize(places, (side, side), interpolation=cv2.INTER_CUBIC)
        border = cv2.BORDER_REPLICATE
        warped = cv2.remap(self._still, fine, None, cv2.INTER_LINEAR, borderMode=border)  # type: ignore[call-overload]
        return np.asarray(warped, np.uint8)


_NODES = 33  # of the grid by which a still is warped, along each side
_DRIVEN = slice(0, 468, 4)  # of the mesh


def _mesh_points(picture: Picture, face: Face, mesh: FaceMesh) -> NDArray[np.float64]:
    return mesh.fit(picture, face.box, face.right_eye, face.left_eye).points[_DRIVEN]


def driving_points(
    footage: Footage, detector: Detector, mesh: FaceMesh
) -> list[NDArray[np.float64]]:
    """The points of the face in every picture of a clip that shows one."""
    found = []
    for picture in footage.pictures:
        faces = detector.detect(picture, 60, first_found=True)
        if faces:
            found.append(_mesh_points(picture, faces[0], mesh))
    return found
