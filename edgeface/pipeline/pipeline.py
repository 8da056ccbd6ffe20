"""The pipeline: detects, aligns and encodes, and times each station.

Takes in a frame, hands on `EncodedFace`s (face, embedding, quality) with `Timings`. The command
line, the Python surface, the service and the benchmarks all drive this same pipeline. It holds no
gallery.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgeface.errors import FaceError
from edgeface.pipeline.align import Aligner
from edgeface.pipeline.detect import Detector, Face, Landmarks
from edgeface.pipeline.encode import Embedding, Encoder
from edgeface.pipeline.geometry import Box
from edgeface.pipeline.mesh import FaceMesh
from edgeface.pipeline.model_file import Model, PendingModel
from edgeface.pipeline.pictures import Picture
from edgeface.pipeline.quality import Quality, assess
from edgeface.pipeline.squares import Square

_SMALLEST_FACE = 40  # pixels: narrower ones hold too little to be judged
LEAST_PRESENCE = 0.5  # by the mesh; 3 of 4,992 pictures of View 1 lie below it
UNFIT = "no upright face can be made out: hold the head upright and uncover the face"
_SMALLEST_SHARE = 1 / 32  # of the longer side: narrower ones are in the background


@dataclass
class Timings:
    """Milliseconds spent in each station."""

    detect: float = 0.0
    align: float = 0.0
    encode: float = 0.0
    match: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """The stations and their total, rounded to the microsecond."""
        parts = {name: round(value, 3) for name, value in vars(self).items()}
        return {**parts, "total": round(sum(parts.values()), 3)}


@dataclass(frozen=True)
class EncodedFace:
    """One face of a frame, encoded: where it is, its embedding (float32, shape (n,), unit length)
    and its quality.

    The dot product of two embeddings is their cosine: `one.embedding @ other.embedding`.
    """

    face: Face
    embedding: Embedding
    quality: Quality
    unfit: str | None = None
    """Why it is nobody's face to compare, as far as the network can say; None where it is one."""

    @property
    def box(self) -> Box:
        """The face's box, in frame pixels."""
        return self.face.box

    @property
    def landmarks(self) -> Landmarks:
        """The face's eyes, nose and mouth, in frame pixels."""
        return self.face.landmarks


def _warn_of_guess(path: Path) -> None:
    import logging  # imported here: it takes 10 ms, which other models do not need

    logging.getLogger(__name__).warning(
        "the thresholds of %s are a guess and may let strangers pass; measure them on people that "
        "you know with: convert-model describe %s --labelled FOLDER",
        path.name,
        path,
    )


class FacePipeline:
    """The stations opened for one model. One thread at a time."""

    def __init__(self, model: str | Path | Model | None = None, threads: int | None = None) -> None:
        pending = model if isinstance(model, Model) else PendingModel(model)
        self._detector = detector = Detector()  # opened while the model's bytes are checked
        self.model = pending if isinstance(pending, Model) else pending.checked()
        self._encoder = Encoder(self.model, threads)
        spec = self.model.description
        # Not by way of `self`: in a cycle the networks would stay until the collector comes by.
        self._aligner = Aligner(spec.alignment, spec.input.size, lambda: detector.mesh)
        if spec.scores is not None and not spec.scores.measured:
            _warn_of_guess(self.model.path)

    @property
    def runtime(self) -> str:
        """Name of the TFLite runtime in use."""
        return self._encoder.runtime

    @property
    def mesh(self) -> FaceMesh:
        """The face mesh network that the detector holds, for one user at a time."""
        return self._detector.mesh

    def detect(
        self,
        frame: Picture,
        timings: Timings | None = None,
        *,
        first_found: bool = False,
        least_share: float = 0.0,
    ) -> list[Face]:
        """The faces of a still picture, the largest first.

        Searches down to 40 pixels or 1/32 of the longer side, whichever is more. `first_found`
        ends the search at the first scale that shows a sure face. Faces narrower than `least_share`
        of the widest sure one may be left out.
        """
        started = time.perf_counter()
        smallest = max(_SMALLEST_FACE, _SMALLEST_SHARE * max(frame.shape))
        faces = self._detector.detect(
            frame, smallest, first_found=first_found, least_share=least_share
        )
        if timings:
            timings.detect += _since(started)
        return faces

    def detect_in(
        self, frame: Picture, squares: Iterable[Square], *, faint: bool = False
    ) -> list[Face]:
        """The faces in some squares of a video frame, the largest first."""
        return self._detector.detect_in(frame, squares, faint=faint)

    def crop(self, frame: Picture, face: Face) -> Picture:
        """The aligned crop of one face; valid until the next call on this pipeline."""
        return self._aligner.align(frame, face)

    def assess(self, frame: Picture, face: Face) -> Quality:
        """The quality of one face of the frame, without encoding it."""
        return assess(face, self._aligner.align(frame, face), self.model.description.alignment)

    def encode(
        self,
        frame: Picture,
        face: Face,
        timings: Timings | None = None,
        *,
        flip_augmented: bool = False,
    ) -> EncodedFace:
        """Align and encode one face of the frame.

        `flip_augmented` is for templates and close decisions: the mean of the embeddings of the
        crop and of its mirror image, in twice the time.
        """
        started = time.perf_counter()
        crop = self._aligner.align(frame, face)
        aligned = time.perf_counter()
        embedding, length = self._encoder.measure(crop, flip_augmented=flip_augmented)
        if timings:
            timings.align += 1e3 * (aligned - started)
            timings.encode += _since(aligned)
        quality = assess(face, crop, self.model.description.alignment)
        presence = 1.0 if face.presence is None else face.presence
        upright = length >= self.model.least_length and presence >= LEAST_PRESENCE
        return EncodedFace(face, embedding, quality, None if upright else UNFIT)

    def main_face(self, frame: Picture, timings: Timings | None = None) -> Face:
        """The main face, large and near the centre; a doubtful one only where none is sure.

        Raises FaceError if there is no face.
        """
        faces = self.detect(frame, timings, first_found=True)
        if not faces:
            raise FaceError("no face found; use a picture with the face upright and in full view")
        return max(faces, key=lambda face: (face.sure, _prominence(face, frame)))


def _prominence(face: Face, frame: Picture) -> float:
    """Width of the face, weighted by its distance from the centre: by half in a corner."""
    height, width = frame.shape[:2]
    centre = face.box.centre
    away = math.hypot(centre.x - width / 2, centre.y - height / 2) / math.hypot(width, height)
    return face.box.width * (1 - away)


def _since(started: float) -> float:
    return 1e3 * (time.perf_counter() - started)
