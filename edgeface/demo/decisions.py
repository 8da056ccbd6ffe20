"""Demo: the whole pipeline on the portraits that ship with the package.

Takes in nothing, hands on `Shown` decisions from a temporary gallery: a person is enrolled and
verified, an impostor claims to be that person, and faces are identified in a picture and in a short
sequence of frames. It uses neither the camera nor the user's gallery.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgeface.decide import Decision
from edgeface.pipeline.pictures import Picture, read_picture
from edgeface.verifier import FaceVerifier

PORTRAITS = Path(__file__).resolve().parent.parent / "portraits"
ENROLLED = {"obama": ("obama.jpg", "obama3.jpg"), "collins": ("collins.jpg",)}
_FRAME = (640, 480)


@dataclass(frozen=True)
class Shown:
    """One decision of the demo; `claimed` is None for identification, `expected` the true name."""

    image: str
    claimed: str | None
    decision: Decision
    expected: str | None

    @property
    def right(self) -> bool:
        """Whether the decision is correct."""
        if self.claimed is not None:
            return self.decision.match == (self.claimed == self.expected)
        return self.decision.name == self.expected


def run_demo(model: Path | None = None) -> Iterator[Shown]:
    """Enroll, then yield each decision as it is made."""
    with tempfile.TemporaryDirectory(prefix="edgeface-demo-") as folder:
        verifier = FaceVerifier(Path(folder) / "gallery.safetensors", model)
        for name, files in ENROLLED.items():
            verifier.enroll(name, [PORTRAITS / file for file in files])
        for file, claimed, true in (
            ("obama2.jpg", "obama", "obama"),
            ("biden.jpg", "obama", None),
            ("collins.jpg", "obama", "collins"),
        ):
            yield Shown(file, claimed, verifier.verify(claimed, PORTRAITS / file), true)
        for file, true in (("obama2.jpg", "obama"), ("biden.jpg", None)):
            for found in verifier.identify(PORTRAITS / file):
                yield Shown(file, None, found.decision, true)
        for file, true in (("obama2.jpg", "obama"), ("biden.jpg", None)):
            for number, frame in enumerate(_walk_by(read_picture(PORTRAITS / file))):
                image = f"{file}, frame {number}"
                for found in verifier.identify(frame):
                    yield Shown(image, None, found.decision, true)


def _walk_by(portrait: Picture, frames: int = 4) -> Iterator[Picture]:
    """640x480 frames of somebody who comes closer, a little off the middle."""
    height, width = portrait.shape[:2]
    for number in range(frames):
        scale = (0.7 + 0.15 * number) * _FRAME[0] / width
        shift = (_FRAME[0] - scale * width) / 2 + 40 - 25 * number
        matrix = np.array([[scale, 0.02, shift], [-0.02, scale, -0.05 * scale * height]])
        frame: Picture = cv2.warpAffine(  # type: ignore[assignment]
            portrait, matrix, _FRAME, flags=cv2.INTER_AREA, borderValue=(96, 96, 96)
        )
        yield frame
