"""People: the pipeline and the gallery as the service uses them.

Takes in encoded faces, hands on decisions. The gallery is read anew when its file has changed, so
that `edgeface enroll` beside a running service takes effect; a new file that cannot be used leaves
the old people in place.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from edgeface.decide import (
    DEFAULT_FAR,
    Decision,
    decide,
    decide_among,
    identification_threshold,
    verification_threshold,
)
from edgeface.enrollment import Enrollment
from edgeface.errors import EdgeFaceError
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import Gallery, default_gallery_path
from edgeface.pipeline.pictures import Picture
from edgeface.pipeline.pipeline import EncodedFace, FacePipeline
from edgeface.service.config import RecognitionSettings
from edgeface.verifier import FaceVerifier

_log = logging.getLogger("edgeface.people")
_PAUSE = 2.0  # seconds between looks at the gallery's file


class People:
    """An opened pipeline and gallery. One thread at a time."""

    def __init__(self, settings: RecognitionSettings) -> None:
        self._looked = time.monotonic()
        self._key = find_key()
        self.use(settings)

    def use(self, settings: RecognitionSettings) -> None:
        """Open the gallery and model of these settings; EdgeFaceError leaves the old in use."""
        path = Path(settings.gallery) if settings.gallery else default_gallery_path()
        pipeline = FacePipeline(settings.model)
        gallery = Gallery.open(path, pipeline.model, self._key)
        self._path, self._fpir, self._pipeline, self._gallery = (
            path,
            settings.fpir,
            pipeline,
            gallery,
        )

    @property
    def pipeline(self) -> FacePipeline:
        """The stations."""
        return self._pipeline

    def __len__(self) -> int:
        return len(self._gallery)

    def refresh(self) -> bool:
        """Now and then, read the gallery anew if its file has changed; whether it was read."""
        now = time.monotonic()
        if now - self._looked < _PAUSE:
            return False
        self._looked = now
        if not self._gallery.outdated:
            return False
        try:
            self._gallery = Gallery.open(self._path, self._pipeline.model, self._key)
        except EdgeFaceError as error:
            _log.error("the changed gallery is not used: %s", error)
            return False
        return True

    def take_restored(self) -> str | None:
        """The sentence about a damaged gallery that was restored, once."""
        told, self._gallery.restored = self._gallery.restored, None
        return told

    def recognize(self, subject: EncodedFace) -> Decision:
        """Whom an encoded face is, if anyone (1:K)."""
        counts = self._gallery.template_counts
        threshold = identification_threshold(self._pipeline.model, self._fpir, counts)
        return decide_among(self._gallery.search(subject.embedding, most=2), threshold)

    def require(self, name: str) -> None:
        """Raises UnknownPerson if nobody of this name is enrolled."""
        self._gallery.require(name)

    def compare(self, name: str, subject: EncodedFace) -> Decision:
        """Whether an encoded face is this person (1:1)."""
        match = self._gallery.compare(name, subject.embedding)
        threshold = verification_threshold(self._pipeline.model, DEFAULT_FAR, match.templates)
        return decide(name, match.score, threshold)

    def enroll(self, name: str, pictures: list[Picture]) -> Enrollment:
        """Add pictures of one person and save the gallery; EdgeFaceError says why not."""
        verifier = FaceVerifier(self._path)
        verifier.pipeline = self._pipeline
        done = verifier.enroll(name, pictures)
        self._gallery = Gallery.open(self._path, self._pipeline.model, self._key)
        return done
