"""The Python surface: enroll, verify and identify in one object.

    from edgeface import FaceVerifier
    verifier = FaceVerifier()
    verifier.enroll("ada", ["ada1.jpg", "ada2.jpg"])
    print(verifier.verify("ada", "door.jpg").match)

Networks are opened and the gallery is read when first needed. It decides nothing itself: the
recognizer does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeface.decide import (
    DEFAULT_FAR,
    DEFAULT_FPIR,
    Decision,
    decide,
    verification_threshold,
)
from edgeface.errors import ConfigError, FaceError, PictureError, UnknownPerson
from edgeface.gallery.choice import model_for
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import Gallery, default_gallery_path
from edgeface.gallery.names import PersonName, person_name
from edgeface.pipeline.detect import Face
from edgeface.pipeline.encode import Embedding
from edgeface.pipeline.pictures import ImageInput, Picture, as_frame
from edgeface.pipeline.pipeline import EncodedFace, FacePipeline, Timings
from edgeface.recognizer import Recognizer
from edgeface.system.closing import Closing

if TYPE_CHECKING:
    from edgeface.enrollment import Enrollment


_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Method = Callable[Concatenate["FaceVerifier", _Arguments], _Result]


def _one_at_a_time(method: _Method[_Arguments, _Result]) -> _Method[_Arguments, _Result]:
    """A method that one thread at a time is in."""

    @wraps(method)
    def alone(
        self: FaceVerifier, /, *arguments: _Arguments.args, **named: _Arguments.kwargs
    ) -> _Result:
        with self._lock:
            return method(self, *arguments, **named)

    return alone


@dataclass(frozen=True)
class Identification:
    """One face of a picture and whom it was recognized as."""

    face: Face
    decision: Decision


class FaceVerifier(Closing):
    """Verification (1:1) and recognition (1:N) against one gallery file.

    `gallery` is the file's path (default: EDGEFACE_GALLERY, else the user's data folder), `model` a
    .tflite file or the name of a shipped model (default: the one chosen for the gallery with
    `edgeface model use`, else FaceNet), `key_file` the key of an encrypted gallery.

    An image is a path, the bytes of a picture file, such a file open for reading in binary mode, or
    an array (uint8, shape (height, width, 3)). Arrays are BGR, as OpenCV gives them; with
    `rgb=True` they are RGB, as Pillow and face_recognition give them. For files `rgb` has no
    effect.

    All methods raise an EdgeFaceError with one sentence for a person: PictureError for input that
    is not a picture, FaceError for a picture without the face it needs, UnknownPerson,
    GalleryError, ModelError, ConfigError for an impossible rate. Threads may share it: they take
    turns. `pipeline` and `gallery` are for one thread at a time. `close` it, or use it in a `with`
    block, to free its memory early.
    """

    def __init__(
        self,
        gallery: str | PathLike[str] | None = None,
        model: str | PathLike[str] | None = None,
        *,
        key_file: str | PathLike[str] | None = None,
        rgb: bool = False,
    ) -> None:
        self._gallery_path = Path(gallery) if gallery is not None else default_gallery_path()
        self._model_path = Path(model) if model is not None else None
        self._key_file = Path(key_file) if key_file is not None else None
        self._rgb = rgb
        self._pipeline: FacePipeline | None = None
        self._opened: Recognizer | None = None
        self._closed = False
        self._lock = threading.RLock()  # the networks and the search have buffers of their own

    @_one_at_a_time
    def close(self) -> None:
        """Release the networks and the gallery. Any later call raises ConfigError."""
        self._closed, self._pipeline, self._opened = True, None, None

    @property
    def _recognizer(self) -> Recognizer:
        """Pipeline and gallery; its key is read when the gallery is first needed."""
        if self._opened is None:
            pipeline = self.pipeline
            self._opened = Recognizer(pipeline, self._gallery_path, find_key(self._key_file))
        return self._opened

    @property
    def pipeline(self) -> FacePipeline:
        """The stations (detect, align, encode) and the model, opened when first needed."""
        if self._closed:
            raise ConfigError("this FaceVerifier is closed; make another one")
        if self._pipeline is None:
            self._pipeline = FacePipeline(model_for(self._gallery_path, self._model_path))
        return self._pipeline

    @property
    def gallery(self) -> Gallery:
        """The gallery to read, up to date with its file; `enroll` and `remove` change it.

        Raises GalleryError once when it was damaged and an earlier generation took its place: no
        decision is made until somebody has seen who is enrolled now.
        """
        return self._recognizer.current_gallery()

    @property
    def people(self) -> dict[str, int]:
        """The enrolled people: each name with how many templates they have, in the names' order."""
        return {str(name): templates for name, templates in self.gallery.people}

    @_one_at_a_time
    def detect(self, image: ImageInput) -> list[Face]:
        """Where the faces of an image are, the largest first; empty if there are none.

        Boxes and landmarks are in pixels of the image, x to the right and y downwards. Takes a
        fraction of the time of `faces`.
        """
        return self.pipeline.detect(self._frame(image))

    @_one_at_a_time
    def faces(self, image: ImageInput) -> list[EncodedFace]:
        """All faces of an image, encoded, the largest first; empty if there are none.

        Each has its `box`, `landmarks`, `quality` and `embedding` (as `encode` gives it).
        """
        frame = self._frame(image)
        return [
            self.pipeline.encode(frame, face, flip_augmented=True)
            for face in self.pipeline.detect(frame)
        ]

    @_one_at_a_time
    def face(self, image: ImageInput) -> EncodedFace:
        """The main face of an image, encoded: the one that is large and near the centre.

        Raises FaceError when there is none.
        """
        return self._main_face(self._frame(image))

    @_one_at_a_time
    def encode(self, image: ImageInput) -> Embedding:
        """The embedding of the main face, as `enroll` stores it: float32, shape (n,), unit length.

        Raises FaceError when there is no face.
        """
        return self.face(image).embedding

    def encode_many(self, images: Iterable[ImageInput]) -> NDArray[np.float32]:
        """The embedding of the main face of each image, one per row: float32, shape (images, n).

        `one @ other.T` has the cosines of all pairs of two such batches. Images are read one after
        the other, so `images` may be a generator. Raises PictureError or FaceError, which name the
        position of the image (from 1); there are no embeddings then.
        """
        rows = []
        for position, image in enumerate(_each(images, "encode_many"), 1):
            try:
                rows.append(self.encode(image))
            except (PictureError, FaceError) as error:
                raise type(error)(f"image {position}: {error}") from None
        numbers = self.pipeline.model.description.embedding.size
        return np.stack(rows) if rows else np.empty((0, numbers), np.float32)

    def threshold(self, *, far: float = DEFAULT_FAR) -> float:
        """The cosine from which two embeddings count as one person's.

        A share `far` of pairs of different people reaches it, 0 < far < 1. Raises ConfigError for
        any other rate.
        """
        return verification_threshold(self.pipeline.model, far, templates=1)

    def compare(self, a: ImageInput, b: ImageInput, *, far: float = DEFAULT_FAR) -> Decision:
        """Do the main faces of two images show one person? Needs no gallery and changes none.

        A share `far` of pairs of different people passes. The decision's `name` is None, its
        `score` the cosine of the two embeddings. Raises FaceError when either has no face.
        """
        score = float(self.encode(a) @ self.encode(b))
        return decide(None, score, self.threshold(far=far))

    @_one_at_a_time
    def enroll(self, name: str, images: Iterable[ImageInput], *, force: bool = False) -> Enrollment:
        """Add the faces of `images` to a person; the gallery's file has them when this returns.

        Each image must hold exactly one face. One that is unfit, or does not look like the others,
        is left out and reported, unless `force`. Raises FaceError when no image is left or when
        the person is enrolled under another name, with the gallery unchanged; a file that is not a
        picture raises PictureError before anything is enrolled.
        """
        _text(name, "enroll")
        images = _each(images, "enroll")
        return self._recognizer.enroll(name, map(self._frame, images), force=force)

    @_one_at_a_time
    def remove(self, name: str, template: int | None = None) -> int:
        """Remove a person, or one template of theirs by its number from 1; returns how many
        templates were removed.

        When this returns, neither the gallery's file nor the earlier generation kept beside it has
        them, so no other process accepts the person. Raises UnknownPerson, and GalleryError for a
        template that is not there or that is the person's only one.
        """
        return self._recognizer.remove(name, template)

    @_one_at_a_time
    def rename(self, name: str, new: str) -> None:
        """Give a person another name. Raises UnknownPerson, and GalleryError where somebody has
        it."""
        self._recognizer.rename(name, new)

    @_one_at_a_time
    def merge(self, name: str, other: str, *, force: bool = False) -> int:
        """Make two names one person, `other`, who keeps every template of both; returns how many.

        Raises UnknownPerson, and FaceError where the two do not look like one person, unless
        `force`.
        """
        return self._recognizer.merge(name, other, force=force)

    @_one_at_a_time
    def verify(
        self,
        name: str,
        image: ImageInput,
        *,
        far: float = DEFAULT_FAR,
        timings: Timings | None = None,
    ) -> Decision:
        """Is the main face of `image` the enrolled `name`? An impostor passes at a rate of `far`.

        A score near the threshold is decided by a second encoding with flip augmentation.
        `timings`, where given, receives the milliseconds of each station. Raises UnknownPerson,
        PictureError or FaceError.
        """
        person = self._enrolled(name, image)
        return self._recognizer.verify_picture(person, self._frame(image), far=far, timings=timings)

    @_one_at_a_time
    def identify(self, image: ImageInput, *, fpir: float = DEFAULT_FPIR) -> list[Identification]:
        """Who is in `image`, face by face, the largest first; a stranger's name is None.

        `fpir` is the chance that a stranger is taken for anyone, whatever the gallery's size.
        """
        frame = self._frame(image)
        _ = self.gallery  # read again if another process has changed it
        found = self._recognizer.identify_picture(frame, fpir=fpir)
        return [Identification(face, decision) for face, decision in found]

    @_one_at_a_time
    def recognize(self, face: EncodedFace, *, fpir: float = DEFAULT_FPIR) -> Decision:
        """Who an encoded face is, if anyone; takes what `faces` returns."""
        _ = self.gallery  # read again if another process has changed it
        return self._recognizer.identify(face, fpir=fpir)

    def _enrolled(self, name: str, image: ImageInput) -> PersonName:
        """The name, of somebody who is enrolled; an error that says so where both were swapped."""
        person = person_name(_text(name, "verify"))
        try:
            self.gallery.require(person)
        except UnknownPerson as error:
            swapped = isinstance(image, str) and image.strip() in self.gallery
            if swapped or Path(name).is_file():
                raise UnknownPerson(
                    f"{error}, and give the name first, then the image: {_ORDER}"
                ) from None
            raise
        return person

    def _frame(self, image: ImageInput) -> Picture:
        return as_frame(image, rgb=self._rgb)

    def _main_face(self, frame: Picture) -> EncodedFace:
        return self.pipeline.encode(frame, self.pipeline.main_face(frame), flip_augmented=True)


def _text(name: str, method: str) -> str:
    """The name, unless something else was given in its place."""
    if not isinstance(name, str):
        raise ConfigError(
            f"{method} takes a person's name first, not {type(name).__name__}, then what shows "
            f"them: {_ORDER}"
        )
    return name


_ORDER = "verify('ada', 'door.jpg'), enroll('ada', ['ada1.jpg'])"


def _each(images: Iterable[ImageInput], method: str) -> Iterable[ImageInput]:
    """The images, unless a single one was given by mistake."""
    if isinstance(images, np.ndarray):
        single = images.ndim < 4  # several images in one array have shape (m, H, W, 3)
    else:
        single = isinstance(images, str | bytes | bytearray | memoryview | PathLike)
    if single or hasattr(images, "read"):
        raise PictureError(f"{method} takes a list of images; put a single one into [brackets]")
    return images
