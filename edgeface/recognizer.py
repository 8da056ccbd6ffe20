"""Recognizer: a pipeline and a gallery together, and every decision and enrollment made with them.

Takes in encoded faces or pictures, hands on decisions (1:1 and 1:K) and enrollments. The Python
surface and the service both call it, so that the two cannot decide differently. It reads no
settings, and when the gallery is read again is its caller's to say.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeface.decide import (
    DEFAULT_FAR,
    DEFAULT_FPIR,
    Decision,
    correction_for,
    decide,
    decide_among,
    identification_threshold,
    in_doubt,
    verification_threshold,
)
from edgeface.errors import GalleryError
from edgeface.gallery.change import GalleryChange, remove_person, rename_person
from edgeface.gallery.gallery import Gallery, file_signature
from edgeface.gallery.names import PersonName, person_name, refuse_reserved
from edgeface.gallery.newest import Newest
from edgeface.pipeline.detect import Face
from edgeface.pipeline.model_file import Model
from edgeface.pipeline.pictures import Picture
from edgeface.pipeline.pipeline import LEAST_PRESENCE, UNFIT, EncodedFace, FacePipeline, Timings

if TYPE_CHECKING:
    from edgeface.enrollment import Candidate, Enrollment, Rejection
    from edgeface.pipeline.encode import Embedding

# Share of impostors who are as near to a person as the newest face of a track must be by itself
# (docs/identification.md).
_NEAR_FAR = 0.05
_FOREGROUND = 0.4  # of the largest face's width: narrower ones are passers-by


class Recognizer:
    """One opened pipeline and the gallery file at `path`. One thread at a time."""

    def __init__(
        self,
        pipeline: FacePipeline,
        path: Path,
        key: bytes | None = None,
        *,
        before: Recognizer | None = None,
        store: Path | None = None,
    ) -> None:
        """`key` opens an encrypted gallery. The gallery is read when first needed; where `before`
        read it already, or `store` (a file) knows a newer one, none that is older is taken."""
        self.pipeline = pipeline
        self.path, self._key = path, key
        self._gallery: Gallery | None = None
        known = before is not None and before.path == path
        self._newest: Newest = before._newest if before and known else Newest(path, store)
        self._tried: tuple[int, ...] | None = None
        self.problem: GalleryError | None = None  # why the gallery cannot be used, as last read

    @property
    def model(self) -> Model:
        """The model whose embeddings and score table count here."""
        return self.pipeline.model

    @property
    def gallery(self) -> Gallery:
        """The gallery as it was last read. Raises GalleryError where it could not be."""
        if self.problem is not None:
            raise self.problem.with_traceback(None)
        return self.read_gallery() if self._gallery is None else self._gallery

    @property
    def outdated(self) -> bool:
        """Whether the gallery has not been read, or its file has changed since."""
        return self._gallery is None or self._gallery.outdated

    @property
    def changed_since_tried(self) -> bool:
        """Whether the file has changed since somebody last tried to read it."""
        return self._tried != file_signature(self.path)

    def read_gallery(self) -> Gallery:
        """Read the gallery from its file.

        Raises GalleryError where that cannot be done, and where its generation went back: then
        nobody is recognized, for who was removed since would come back.
        """
        self._tried = file_signature(self.path)
        try:
            opened = Gallery.open(self.path, self.model, self._key)
            self._newest.refuse_older(opened)
        except GalleryError as error:
            self._gallery, self.problem = None, error
            raise
        return self._use(opened)

    def _use(self, gallery: Gallery) -> Gallery:
        self._gallery, self.problem = gallery, None
        try:
            self._newest.note(gallery)
        except OSError as error:
            import logging  # hardly ever needed

            logging.getLogger("edgeface.gallery").error(
                "an older copy of %s will not be noticed after a restart: this cannot be kept (%s)",
                self.path,
                error,
            )
        return gallery

    def current_gallery(self) -> Gallery:
        """The gallery, read again if its file has changed.

        Raises GalleryError once when it was damaged and an earlier generation took its place: no
        decision is made on people that nobody has looked at.
        """
        if self.outdated and self.read_gallery().restored:
            raise GalleryError(
                "nothing was decided or changed, since the gallery was damaged and has just been "
                "restored; look with: edgeface list, then run this again (if it says the same, "
                f"this user may not write to {self.path.parent})"
            )
        return self.gallery

    def verify(self, name: str, face: EncodedFace, *, far: float = DEFAULT_FAR) -> Decision:
        """Whether an encoded face is the enrolled `name` (1:1), at a FAR of `far`.

        Raises UnknownPerson.
        """
        match = self.gallery.compare(name, face.embedding)
        correction = correction_for(self.model, self.gallery)
        threshold = verification_threshold(self.model, far, match.templates, correction)
        decision = decide(name, match.score, threshold)
        return replace(decision, match=False, note=face.unfit) if face.unfit else decision

    def identify(self, face: EncodedFace, *, fpir: float = DEFAULT_FPIR) -> Decision:
        """Who an encoded face is, if anyone (1:K), at an FPIR of `fpir`."""
        gallery = self.gallery
        best = gallery.search(face.embedding, most=2)
        decision = decide_among(best, self._threshold(fpir))
        if face.unfit:
            return replace(decision, name=None, match=False, note=face.unfit)
        return decision

    def identify_together(
        self, newest: EncodedFace, mean: Embedding, *, fpir: float = DEFAULT_FPIR
    ) -> Decision:
        """Who several faces of one track are together, if anyone (1:K).

        `mean` is the mean of their embeddings, of unit length, shape (n,). Nobody where the
        `newest` of them alone is not near that person: what came before must not decide for
        somebody who has taken another's place.
        """
        gallery = self.gallery
        decision = decide_among(gallery.search(mean, most=2), self._threshold(fpir))
        if decision.name is None:
            return decision
        alone = gallery.compare(decision.name, newest.embedding)
        near = verification_threshold(self.model, _NEAR_FAR, alone.templates)
        return decision if alone.score >= near else replace(decision, name=None, match=False)

    def verify_picture(
        self,
        name: str,
        frame: Picture,
        *,
        far: float = DEFAULT_FAR,
        timings: Timings | None = None,
    ) -> Decision:
        """Whether the main face of a still picture is the enrolled `name`.

        A score near the threshold is decided by a second encoding with flip augmentation.
        `timings`, where given, receives the milliseconds of each station. Raises UnknownPerson, and
        FaceError where there is no face.
        """
        timings = timings or Timings()
        face = self.pipeline.main_face(frame, timings)
        for flip_augmented in (False, True):
            encoded = self.pipeline.encode(frame, face, timings, flip_augmented=flip_augmented)
            started = time.perf_counter()
            decision = self.verify(name, encoded, far=far)
            timings.match += 1e3 * (time.perf_counter() - started)
            if not in_doubt(decision):
                break
        return decision

    def identify_picture(
        self, frame: Picture, *, fpir: float = DEFAULT_FPIR
    ) -> list[tuple[Face, Decision]]:
        """Who is in a still picture, face by face, the largest first."""
        found = []
        for face in self.pipeline.detect(frame):
            decision = self.identify(self.pipeline.encode(frame, face), fpir=fpir)
            if in_doubt(decision):
                augmented = self.pipeline.encode(frame, face, flip_augmented=True)
                decision = self.identify(augmented, fpir=fpir)
            found.append((face, decision))
        return found

    def check_fpir(self, fpir: float) -> None:
        """Raises ConfigError unless the model's table reaches this FPIR for the people enrolled."""
        self._threshold(fpir)

    def _threshold(self, fpir: float) -> float:
        gallery = self.gallery
        correction = correction_for(self.model, gallery)
        return identification_threshold(self.model, fpir, gallery.template_counts, correction)

    def enroll(self, name: str, frames: Iterable[Picture], *, force: bool = False) -> Enrollment:
        """Add the faces of pictures of one person; the gallery's file has them on return.

        Each picture must hold exactly one face in its foreground. One that is unfit, or does not
        look like the others, is left out and reported, unless `force`. Raises FaceError when none
        is left, or when the person is enrolled under another name, and GalleryError as
        `current_gallery` does; the gallery is then unchanged.
        """
        from edgeface.enrollment import Candidate

        person = self.may_enroll(name)  # what is wrong is better known before the work
        candidates: list[Candidate] = []
        rejected: list[Rejection] = []
        for frame in frames:
            seen = self.candidate(len(candidates) + len(rejected), frame, force=force)
            del frame  # one picture is held at a time; enumerate would keep the one before, too
            if isinstance(seen, Candidate):
                candidates.append(seen)
            else:
                rejected.append(seen)
        return self.enroll_candidates(person, candidates, rejected, force=force)

    def may_enroll(self, name: str) -> PersonName:
        """The name in its one form. Raises GalleryError for one that nobody can be given, and as
        `current_gallery` does."""
        person = person_name(name)
        if person not in self.current_gallery():
            refuse_reserved(person)
        return person

    def enroll_candidates(
        self,
        person: PersonName,
        candidates: Sequence[Candidate],
        rejected: Sequence[Rejection],
        *,
        force: bool = False,
    ) -> Enrollment:
        """Add what `candidate` has made of pictures of one person, as `enroll` does."""
        from edgeface.enrollment import enroll_candidates

        above = self._newest.generation
        with GalleryChange.open(self.path, self.model, self._key, above=above) as change:
            self._newest.refuse_older(change.gallery)
            done = enroll_candidates(change, self.model, person, candidates, rejected, force=force)
        self._use(change.gallery)
        return done

    def candidate(
        self, position: int, frame: Picture, *, force: bool = False
    ) -> Candidate | Rejection:
        """The one face of a picture, encoded, or why the picture is left out."""
        from edgeface.enrollment import Candidate, Rejection

        faces = _in_the_foreground(self.pipeline.detect(frame, least_share=_FOREGROUND))
        if len(faces) != 1:
            return Rejection(position, _count_reason(len(faces)))
        encoded = self.pipeline.encode(frame, faces[0], flip_augmented=True)
        reasons = encoded.quality.reasons + ((encoded.unfit,) if encoded.unfit else ())
        if not reasons and not self._confirmed(frame, faces[0]):
            reasons = (UNFIT,)
        if reasons and not force:
            return Rejection(position, "; ".join(reasons))
        return Candidate(position, encoded.embedding)

    def _confirmed(self, frame: Picture, face: Face) -> bool:
        """Whether the mesh network finds the face, too."""
        mesh = self.pipeline.mesh.fit(frame, face.box, face.right_eye, face.left_eye)
        return mesh.presence >= LEAST_PRESENCE

    def remove(self, name: str, template: int | None = None) -> int:
        """Remove a person, or one template of theirs by its number from 1, from the gallery's file
        for good; returns how many templates went.

        Raises UnknownPerson, and GalleryError as `current_gallery` does.
        """
        self.current_gallery()
        removed, left = remove_person(self.path, self.model, self._key, person_name(name), template)
        self._use(left)
        return removed

    def rename(self, name: str, new: str) -> None:
        """Give a person another name. Raises UnknownPerson, and GalleryError as `current_gallery`
        does and where somebody has it."""
        self.current_gallery()
        old, wanted = person_name(name), person_name(new)
        self._use(rename_person(self.path, self.model, self._key, old, wanted))

    def merge(self, name: str, other: str, *, force: bool = False) -> int:
        """Make two names one person, `other`; returns how many templates that person has then.

        Raises UnknownPerson, FaceError where they do not look like one person (unless `force`), and
        GalleryError as `current_gallery` does.
        """
        from edgeface.enrollment import merge_people

        first, second = person_name(name), person_name(other)
        for each in (first, second):
            self.current_gallery().require(each)
        with GalleryChange.open(self.path, self.model, self._key) as change:
            self._newest.refuse_older(change.gallery)
            templates = merge_people(change, self.model, first, second, force=force)
        self._use(change.gallery)
        return templates


def _in_the_foreground(faces: list[Face]) -> list[Face]:
    """Without the passers-by behind."""
    return [face for face in faces if face.box.width >= _FOREGROUND * faces[0].box.width]


def _count_reason(faces: int) -> str:
    if faces == 0:
        return "no face found; use a picture with the face upright and in full view"
    return f"{faces} faces found; use a picture of this person alone"
