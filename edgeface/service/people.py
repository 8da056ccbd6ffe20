"""People: the pipeline and the gallery as the service uses them.

Takes in encoded faces, hands on decisions. The gallery is read again as soon as its file has
changed, so that `edgeface enroll` and `edgeface remove` beside a running service take effect with
the next frame. As long as it cannot be used nobody is recognized, and `problem` says why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeface.decide import (
    Correction,
    Decision,
    correction_for,
    decide_among,
    identification_threshold,
)
from edgeface.enrollment import Candidate, Enrollment, Rejection, lookalike_threshold
from edgeface.errors import GalleryError
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.names import PersonName, person_name
from edgeface.gallery.newest import OlderGallery
from edgeface.gallery.report import people_reports
from edgeface.gallery.rules import Rules
from edgeface.gallery.rules_file import change_rules, read_rules
from edgeface.liveness import Likeness
from edgeface.pipeline.detect import Face
from edgeface.pipeline.encode import Embedding
from edgeface.pipeline.pictures import Picture
from edgeface.pipeline.pipeline import EncodedFace, FacePipeline
from edgeface.recognizer import Recognizer
from edgeface.service.config import RecognitionSettings

_log = logging.getLogger("edgeface.people")
_PAUSE = 2.0  # seconds between two attempts to read a gallery that cannot be used


class People:
    """An opened pipeline and gallery. One thread at a time."""

    def __init__(self, settings: RecognitionSettings, store: Path | None = None) -> None:
        """`store` is the file that keeps which state of the gallery was used; None to keep none."""
        self._store = store
        self._tried = time.monotonic()
        self._reported: str | None = None
        self._listed: tuple[Gallery, tuple[str, ...]] | None = None  # of that gallery, its names
        self._changed = False  # by this process, and not yet reported by `refresh`
        self._use(settings, None)
        self._known = frozenset() if self.problem is not None else self._names()

    def use(self, settings: RecognitionSettings) -> None:
        """Open the gallery and model of these settings; EdgeFaceError leaves the old in use."""
        self._use(settings, self._recognizer)

    def _use(self, settings: RecognitionSettings, before: Recognizer | None) -> None:
        pipeline, path = FacePipeline(settings.model_file), settings.gallery_path
        recognizer = Recognizer(pipeline, path, find_key(), before=before, store=self._store)
        try:
            recognizer.read_gallery()
            recognizer.check_fpir(settings.fpir)
        except OlderGallery as error:
            if before is not None:
                raise
            # It does not help to end: an administrator accepts it beside the running service.
            _log.error("nobody is recognized: %s", error)
        self.likeness = Likeness.of(recognizer.model)  # what challenges ask for, of this model
        self._fpir, self._recognizer = settings.fpir, recognizer

    def uses(self, settings: RecognitionSettings) -> bool:
        """Whether the model of these settings is in use; ModelError where that cannot be known."""
        return self._recognizer.model.path == settings.model_file

    @property
    def pipeline(self) -> FacePipeline:
        """The stations."""
        return self._recognizer.pipeline

    @property
    def problem(self) -> str | None:
        """Why the gallery cannot be used, so that nobody is recognized; None where all is well."""
        problem = self._recognizer.problem
        return None if problem is None else str(problem)

    @property
    def names(self) -> tuple[str, ...] | None:
        """Everybody enrolled; None where the gallery cannot be used."""
        if self.problem is not None:
            return None
        gallery = self._recognizer.gallery
        if self._listed is None or self._listed[0] is not gallery:
            self._listed = (gallery, tuple(str(name) for name, _ in gallery.people))
        return self._listed[1]

    @property
    def model_name(self) -> str:
        """The model's file, without its folder."""
        return self._recognizer.model.path.name

    def __len__(self) -> int:
        return 0 if self.problem else len(self._recognizer.gallery)

    def refresh(self) -> bool:
        """Read the gallery again where its file has changed; whether who is recognized may differ.

        One that could not be read is tried again now and then, too.
        """
        recognizer, now = self._recognizer, time.monotonic()
        if not recognizer.outdated:
            changed, self._changed = self._changed, False
            return changed
        waiting = recognizer.problem is not None and now - self._tried < _PAUSE
        if waiting and not recognizer.changed_since_tried:
            return False
        self._tried, before = now, self.problem
        untold = recognizer.gallery.restored if before is None else None
        try:
            gallery = recognizer.read_gallery()
            gallery.restored = gallery.restored or untold
        except GalleryError as error:
            if str(error) == before:
                return False
            _log.error("nobody is recognized: %s", error)
        return True

    def take_problem(self) -> str | None:
        """The sentence about a gallery that cannot be used, once."""
        problem, reported = self.problem, self._reported
        self._reported = problem
        return problem if problem != reported else None

    def take_removed(self) -> list[str]:
        """Names that have gone from the gallery by another's hand since the last call."""
        if self.problem is not None:
            return []
        gone, self._known = self._known - (names := self._names()), names
        return sorted(gone)

    def _names(self) -> frozenset[str]:
        return frozenset(str(name) for name, _ in self._recognizer.gallery.people)

    def take_restored(self) -> str | None:
        """The sentence about a damaged gallery that was restored, once."""
        if self.problem is not None:
            return None
        gallery = self._recognizer.gallery
        told, gallery.restored = gallery.restored, None
        return told

    def recognize(self, face: EncodedFace) -> Decision:
        """Whom an encoded face is, if anyone (1:K); nobody where the gallery cannot be used."""
        if self.problem is not None:
            nobody = np.empty(0, np.int32)
            model = self._recognizer.model
            return decide_among([], identification_threshold(model, self._fpir, nobody))
        return self._recognizer.identify(face, fpir=self._fpir)

    def recognize_together(self, face: EncodedFace, mean: Embedding) -> Decision:
        """Whom the faces of one track are together; nobody where the gallery cannot be used. See
        `Recognizer.identify_together`."""
        if self.problem is not None:
            return self.recognize(face)
        return self._recognizer.identify_together(face, mean, fpir=self._fpir)

    def require(self, name: str) -> None:
        """Raises UnknownPerson if nobody of this name is enrolled, GalleryError where that cannot
        be known."""
        self._recognizer.gallery.require(person_name(name))

    def compare(self, name: str, face: EncodedFace) -> Decision:
        """Whether an encoded face is this person (1:1). Raises as `require` does."""
        return self._recognizer.verify(person_name(name), face)

    def remove(self, name: str, template: int | None = None) -> tuple[int, list[dict[str, Any]]]:
        """Remove a person, or one template of theirs, and save the gallery; how many templates
        went, and who is left as {name, templates}. Raises UnknownPerson and GalleryError."""
        templates = self._recognizer.remove(person_name(name), template)
        self._changed = True
        if template is None:
            self._known -= {name}  # whoever had it removed reports it
        left = self._recognizer.gallery.people
        return templates, [{"name": other, "templates": count} for other, count in left]

    def reports(self) -> list[dict[str, Any]]:
        """Everybody with what `edgeface list` says about them."""
        gallery = self._recognizer.gallery
        near = lookalike_threshold(gallery, self._recognizer.model)
        return [vars(report) for report in people_reports(gallery, near)]

    def rename(self, name: str, new: str) -> int:
        """Give a person another name and save the gallery; how many templates the person has.
        Raises UnknownPerson and GalleryError."""
        self._recognizer.rename(name, new)
        return self._moved(name, new)

    def merge(self, name: str, other: str) -> int:
        """Make two names one person, `other`, and save the gallery; how many templates that person
        has. Raises UnknownPerson, GalleryError, and FaceError where they do not look like one."""
        self._recognizer.merge(name, other)
        return self._moved(name, other)

    def _moved(self, name: str, other: str) -> int:
        self._changed = True
        self._known = self._known - {name} | {other}  # whoever had it done reports it
        gallery = self._recognizer.gallery
        return int(gallery.template_counts[gallery.index(other)])

    def rules(self, name: str) -> Rules:
        """A person's rules. Raises UnknownPerson, and GalleryError where they cannot be read."""
        self.require(name)
        return read_rules(self._recognizer.path).get(person_name(name), Rules())

    def set_rules(self, name: str, rules: Rules) -> None:
        """Set a person's rules for good. Raises UnknownPerson and GalleryError."""
        self.require(name)
        change_rules(self._recognizer.path, person_name(name), rules)

    @property
    def correction(self) -> Correction:
        """How far the thresholds are raised for the people enrolled."""
        return correction_for(self._recognizer.model, self._recognizer.gallery)

    def enroll(self, name: str, pictures: list[Picture]) -> Enrollment:
        """Add pictures of one person and save the gallery; EdgeFaceError says why not."""
        done = self._recognizer.enroll(name, pictures)
        self._changed = True
        return done

    def may_enroll(self, name: str) -> PersonName:
        """The name in its one form. Raises GalleryError for one that nobody can be given."""
        return self._recognizer.may_enroll(name)

    def candidate(self, position: int, picture: Picture) -> Candidate | Rejection:
        """The one face of a picture to enroll, encoded, or why the picture is refused."""
        return self._recognizer.candidate(position, picture)

    def enroll_candidates(
        self, name: PersonName, candidates: Sequence[Candidate], rejected: Sequence[Rejection]
    ) -> Enrollment:
        """As `enroll`, with what `candidate` has made of the pictures."""
        done = self._recognizer.enroll_candidates(name, candidates, rejected)
        self._changed = True
        return done

    def identify_picture(self, picture: Picture) -> list[tuple[Face, Decision]]:
        """Who is in a still picture. Raises GalleryError where the gallery cannot be used."""
        return self._recognizer.identify_picture(picture, fpir=self._fpir)

    def verify_picture(self, name: str, picture: Picture) -> Decision:
        """Whether the main face of a still picture is this person. Raises UnknownPerson, FaceError
        and GalleryError."""
        return self._recognizer.verify_picture(person_name(name), picture)
