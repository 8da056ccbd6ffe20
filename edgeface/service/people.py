"""People: the line and the gallery as the service uses them.

Takes in encoded faces, hands on decisions. The gallery is read anew when its file has changed, so
that `edgeface enroll` beside a running service takes effect; a new file that cannot be used leaves
the old people in place.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from edgeface.config import Recognition
from edgeface.decide import DEFAULT_FAR, Decision, decide, threshold_for_far
from edgeface.errors import EdgeFaceError
from edgeface.gallery import default_gallery_path
from edgeface.line import FaceLine, Subject
from edgeface.pictures import Picture
from edgeface.verifier import Enrollment, FaceVerifier

_log = logging.getLogger("edgeface.people")
_PAUSE = 2.0  # seconds between looks at the gallery's file


class People:
    """An opened line and gallery. One thread at a time."""

    def __init__(self, settings: Recognition) -> None:
        self._looked = time.monotonic()
        self.use(settings)

    def use(self, settings: Recognition) -> None:
        """Open the gallery and model of these settings; EdgeFaceError leaves the old in use."""
        path = Path(settings.gallery) if settings.gallery else default_gallery_path()
        state = _state(path)
        verifier = FaceVerifier(path, settings.model)
        len(verifier.gallery)  # a gallery that cannot be used is told now, not at the door
        self._path, self._file, self._verifier = path, state, verifier
        self._fpir = settings.fpir

    @property
    def line(self) -> FaceLine:
        """The stations."""
        return self._verifier.line

    def __len__(self) -> int:
        return len(self._verifier.gallery)

    def refresh(self) -> bool:
        """Now and then, read the gallery anew if its file has changed; whether it was read."""
        now = time.monotonic()
        if now - self._looked < _PAUSE:
            return False
        self._looked, state = now, _state(self._path)
        if state == self._file:
            return False
        self._file = state
        try:
            fresh = FaceVerifier(self._path, self.line.model.path)
            fresh.line = self.line
            len(fresh.gallery)
        except EdgeFaceError as error:
            _log.error("the changed gallery is not used: %s", error)
            return False
        self._verifier = fresh
        return True

    def recognize(self, subject: Subject) -> Decision:
        """Whom an encoded face is, if anyone (1:K)."""
        return self._verifier.recognize(subject, fpir=self._fpir)

    def require(self, name: str) -> None:
        """Raises UnknownPerson if nobody of this name is enrolled."""
        self._verifier.gallery.require(name)

    def compare(self, name: str, subject: Subject) -> Decision:
        """Whether an encoded face is this person (1:1)."""
        threshold = threshold_for_far(self.line.model, DEFAULT_FAR)
        return decide(
            name, self._verifier.gallery.compare(name, subject.embedding).score, threshold
        )

    def enroll(self, name: str, pictures: list[Picture]) -> Enrollment:
        """Add pictures of one person and save the gallery; EdgeFaceError says why not."""
        done = self._verifier.enroll(name, pictures)
        self._file = _state(self._path)
        return done


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
