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

from edgeface.decide import DEFAULT_FAR, DEFAULT_FPIR, Decision, in_doubt
from edgeface.errors import GalleryError, PictureError
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import Gallery, clean_name, default_gallery_path
from edgeface.pipeline.detect import Face
from edgeface.pipeline.encode import Embedding
from edgeface.pipeline.pictures import ImageInput, as_frame
from edgeface.pipeline.pipeline import EncodedFace, FacePipeline, Timings
from edgeface.recognizer import Recognizer

if TYPE_CHECKING:
    from edgeface.enrollment import Enrollment


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

    @cached_property
    def _recognizer(self) -> Recognizer:
        """Pipeline and gallery, opened when first asked for."""
        pipeline = FacePipeline(self._model_path)
        return Recognizer(pipeline, self._gallery_path, find_key(self._key_file))

    @property
    def pipeline(self) -> FacePipeline:
        """The stations, opened when first asked for."""
        return self._recognizer.pipeline

    @property
    def gallery(self) -> Gallery:
        """The gallery, read when first asked for and when another process has changed it.

        Raises GalleryError once when it was damaged and an earlier generation took its place: no
        decision is made on people that nobody has looked at.
        """
        recognizer = self._recognizer
        if recognizer.outdated:
            recognizer.read_gallery()
            if recognizer.gallery.restored:
                raise GalleryError(
                    "nothing was decided or changed, since the gallery was damaged and has just "
                    "been restored; look with: edgeface list, then run this again (if it says the "
                    f"same, this user may not write to {self._gallery_path.parent})"
                )
        return recognizer.gallery

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
        if isinstance(images, str | bytes | PathLike | np.ndarray):
            raise PictureError("enroll takes a list of images; put a single one into [brackets]")
        name = clean_name(name)
        _ = self.gallery  # what is wrong with it is better known before the work
        return self._recognizer.enroll(name, [as_frame(image) for image in images], force=force)

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
        self.gallery.require(name)
        frame, timings = as_frame(image), timings or Timings()
        face = self.pipeline.main_face(frame, timings)
        for flip_augmented in (False, True):
            encoded = self.pipeline.encode(frame, face, timings, flip_augmented=flip_augmented)
            started = time.perf_counter()
            decision = self._recognizer.verify(name, encoded, far=far)
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

    def recognize(self, face: EncodedFace, *, fpir: float = DEFAULT_FPIR) -> Decision:
        """Who an encoded face is, if anyone."""
        _ = self.gallery  # read again if another process has changed it
        return self._recognizer.identify(face, fpir=fpir)
