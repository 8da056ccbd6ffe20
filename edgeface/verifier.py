"""The Python surface: enroll, verify and identify in one object.

    from edgeface import FaceVerifier
    verifier = FaceVerifier()
    verifier.enroll("ada", ["ada1.jpg", "ada2.jpg"])
    print(verifier.verify("ada", "door.jpg").match)

Networks are opened and the gallery is read when first needed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgeface.decide import (
    DEFAULT_FAR,
    DEFAULT_FPIR,
    Decision,
    decide,
    decide_among,
    identification_threshold,
    in_doubt,
    verification_threshold,
)
from edgeface.errors import GalleryError, PictureError
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import Gallery, clean_name, default_gallery_path
from edgeface.pipeline.detect import Face
from edgeface.pipeline.encode import Embedding
from edgeface.pipeline.pictures import ImageInput, as_frame
from edgeface.pipeline.pipeline import EncodedFace, FacePipeline, Timings

if TYPE_CHECKING:
    from edgeface.enrollment import Candidate, Enrollment, Rejection


@dataclass(frozen=True)
class Identification:
    """One face of a picture and whom it was recognized as."""

    face: Face
    decision: Decision


class FaceVerifier:
    """Verification (1:1) and recognition (1:K) against one gallery file.

    `gallery` is the file's path (default: EDGEFACE_GALLERY, else the user's data folder), `model` a
    .tflite file (default: the shipped one), `key_file` the key of an encrypted gallery. Images are
    paths or uint8 BGR arrays of shape (H, W, 3). All methods raise EdgeFaceError with one sentence
    for bad input. One thread at a time.
    """

    def __init__(
        self,
        gallery: str | Path | None = None,
        model: str | Path | None = None,
        *,
        key_file: str | Path | None = None,
    ) -> None:
        self._gallery_path = Path(gallery) if gallery is not None else default_gallery_path()
        self._model_path = model
        self._key_file = Path(key_file) if key_file is not None else None
        self._gallery: Gallery | None = None

    @cached_property
    def pipeline(self) -> FacePipeline:
        """The stations, opened when first asked for."""
        return FacePipeline(self._model_path)

    @property
    def gallery(self) -> Gallery:
        """The gallery, read when first asked for and when another process has changed it.

        Raises GalleryError once when it was damaged and an earlier generation took its place: no
        decision is made on people that nobody has looked at.
        """
        if self._gallery is None or self._gallery.outdated:
            self._gallery = Gallery.open(self._gallery_path, self.pipeline.model, self._key)
            if self._gallery.restored:
                raise GalleryError(
                    "nothing was decided or changed, since the gallery was damaged and has just "
                    "been restored; look with: edgeface list, then run this again (if it says the "
                    f"same, this user may not write to {self._gallery_path.parent})"
                )
        return self._gallery

    @cached_property
    def _key(self) -> bytes | None:
        return find_key(self._key_file)

    def encode(self, image: ImageInput) -> Embedding:
        """The embedding of the main face, as `enroll` keeps it: float32, shape (n,), unit length.

        Raises PictureError or FaceError.
        """
        return self.subject(image).embedding

    def subject(self, image: ImageInput) -> EncodedFace:
        """The main face of an image, encoded with care, with its box and quality."""
        frame = as_frame(image)
        return self.pipeline.encode(frame, self.pipeline.main_face(frame), flip_augmented=True)

    def enroll(self, name: str, images: Sequence[ImageInput], *, force: bool = False) -> Enrollment:
        """Add the faces of `images` to a person; the gallery's file has them when this returns.

        Each image must hold exactly one face. One that is unfit, or does not look like the others,
        is left out and reported, unless `force`. Raises FaceError when no image is left or when
        the person is enrolled under another name, with the gallery unchanged; a file that is no
        picture raises PictureError before anything is enrolled.
        """
        from edgeface.enrollment import Candidate, Rejection, enroll_candidates

        if isinstance(images, str | bytes | PathLike | np.ndarray):
            raise PictureError("enroll takes a list of images; put a single one into [brackets]")
        name = clean_name(name)
        _ = self.gallery  # what is wrong with it is better known before the work
        frames = [as_frame(image) for image in images]
        candidates: list[Candidate] = []
        rejected: list[Rejection] = []
        for position, frame in enumerate(frames):
            faces = _in_the_foreground(self.pipeline.detect(frame))
            if len(faces) != 1:
                rejected.append(Rejection(position, _count_reason(len(faces))))
                continue
            subject = self.pipeline.encode(frame, faces[0], flip_augmented=True)
            if subject.quality.reasons and not force:
                rejected.append(Rejection(position, "; ".join(subject.quality.reasons)))
                continue
            candidates.append(Candidate(position, subject.embedding))
        model = self.pipeline.model
        with Gallery.changing(self._gallery_path, model, self._key) as gallery:
            done = enroll_candidates(gallery, model, name, candidates, rejected, force=force)
        self._gallery = gallery
        return done

    def verify(
        self,
        name: str,
        image: ImageInput,
        *,
        far: float = DEFAULT_FAR,
        timings: Timings | None = None,
    ) -> Decision:
        """Is the main face of `image` the enrolled `name`? At a FAR of `far` for an impostor.

        Where the first look leaves doubt a careful one decides.
        Raises UnknownPerson, PictureError or FaceError.
        """
        name = clean_name(name)
        gallery = self.gallery
        gallery.require(name)
        frame, timings = as_frame(image), timings or Timings()
        face = self.pipeline.main_face(frame, timings)
        for flip_augmented in (False, True):
            subject = self.pipeline.encode(frame, face, timings, flip_augmented=flip_augmented)
            started = time.perf_counter()
            match = gallery.compare(name, subject.embedding)
            threshold = verification_threshold(self.pipeline.model, far, match.templates)
            decision = decide(name, match.score, threshold)
            timings.match += 1e3 * (time.perf_counter() - started)
            if not in_doubt(decision):
                break
        return decision

    def identify(self, image: ImageInput, *, fpir: float = DEFAULT_FPIR) -> list[Identification]:
        """Who is in `image`, face by face, the largest first; a stranger's name is None.

        `fpir` is the chance that a stranger is taken for anyone, whatever the gallery's size.
        """
        frame = as_frame(image)
        found = []
        for face in self.pipeline.detect(frame):
            decision = self.recognize(self.pipeline.encode(frame, face), fpir=fpir)
            if in_doubt(decision):
                careful = self.pipeline.encode(frame, face, flip_augmented=True)
                decision = self.recognize(careful, fpir=fpir)
            found.append(Identification(face, decision))
        return found

    def recognize(self, subject: EncodedFace, *, fpir: float = DEFAULT_FPIR) -> Decision:
        """Whom an encoded face is, if anyone."""
        gallery = self.gallery
        threshold = identification_threshold(self.pipeline.model, fpir, gallery.template_counts)
        return decide_among(gallery.search(subject.embedding, most=2), threshold)


def _in_the_foreground(faces: list[Face]) -> list[Face]:
    """Without the passers-by behind: those less than 0.4 times as wide as the largest face."""
    return [face for face in faces if face.box.width >= 0.4 * faces[0].box.width]


def _count_reason(faces: int) -> str:
    if faces == 0:
        return "no face found; use a picture with the face upright and in full view"
    return f"{faces} faces found; use a picture of this person alone"
