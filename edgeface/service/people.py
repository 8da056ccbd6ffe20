"""People: the pipeline and the gallery as the service uses them.

Takes in encoded faces, hands on decisions. The gallery is read anew when its file has changed, so
that `edgeface enroll` beside a running service takes effect; a new file that cannot be used leaves
the old people in place.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from edgeface.decide import Decision
from edgeface.enrollment import Enrollment
from edgeface.errors import EdgeFaceError
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import default_gallery_path
from edgeface.gallery.names import person_name
from edgeface.liveness import Likeness
from edgeface.pipeline.pictures import Picture
from edgeface.pipeline.pipeline import EncodedFace, FacePipeline
from edgeface.recognizer import Recognizer
from edgeface.service.config import RecognitionSettings

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
        recognizer = Recognizer(FacePipeline(settings.model), path, self._key)
        recognizer.read_gallery()
        self.likeness = Likeness.of(recognizer.model)  # what challenges ask for, of this model
        self._fpir, self._recognizer = settings.fpir, recognizer

    @property
    def pipeline(self) -> FacePipeline:
        """The stations."""
        return self._recognizer.pipeline

    def __len__(self) -> int:
        return len(self._recognizer.gallery)

    def refresh(self) -> bool:
        """Now and then, read the gallery anew if its file has changed; whether it was read."""
        now = time.monotonic()
        if now - self._looked < _PAUSE:
            return False
        self._looked = now
        if not self._recognizer.outdated:
            return False
        try:
            self._recognizer.read_gallery()
        except EdgeFaceError as error:
            _log.error("the changed gallery is not used: %s", error)
            return False
        return True

    def take_restored(self) -> str | None:
        """The sentence about a damaged gallery that was restored, once."""
        gallery = self._recognizer.gallery
        told, gallery.restored = gallery.restored, None
        return told

    def recognize(self, face: EncodedFace) -> Decision:
        """Whom an encoded face is, if anyone (1:K)."""
        return self._recognizer.identify(face, fpir=self._fpir)

    def require(self, name: str) -> None:
        """Raises UnknownPerson if nobody of this name is enrolled."""
        self._recognizer.gallery.require(person_name(name))

    def compare(self, name: str, face: EncodedFace) -> Decision:
        """Whether an encoded face is this person (1:1)."""
        return self._recognizer.verify(person_name(name), face)

    def enroll(self, name: str, pictures: list[Picture]) -> Enrollment:
        """Add pictures of one person and save the gallery; EdgeFaceError says why not."""
        return self._recognizer.enroll(name, pictures)
