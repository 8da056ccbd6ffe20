"""Material: pictures for the attacks, and clips of living people.

Takes in the folders of LFW's View 1 and of the live clips, hands on stills of distinct people,
clips framed as a print would be, and the eyes behind the holes of a print. Nothing here is shipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def eye_holes(still: Picture, face: Face, mesh: FaceMesh) -> NDArray[np.uint8]:
    """Where the eyes of a framed still were cut out: uint8, shape of the still."""
    points = mesh.fit(still, face.box, face.right_eye, face.left_eye).points
    holes = np.zeros(still.shape[:2], np.uint8)
    for eye in (_RIGHT_EYE, _LEFT_EYE):
        hull = cv2.convexHull(points[list(eye)].astype(np.float32)).reshape(-1, 2)
        centre = hull.mean(axis=0)
        wide = (hull - centre) * (1.25, 1.9) + centre  # the holes show the wearer's lids too
        cv2.fillPoly(holes, [np.round(wide).astype(np.int32)], 255)
    return np.asarray(cv2.GaussianBlur(holes, (0, 0), 0.8), np.uint8)
