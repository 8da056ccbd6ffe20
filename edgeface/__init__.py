"""EdgeFace: face verification and recognition on the device, offline.

    import edgeface
    verifier = edgeface.FaceVerifier()
    verifier.enroll("ada", ["ada1.jpg", "ada2.jpg"])
    print(verifier.verify("ada", "door.jpg"))  # Decision(name='ada', score=0.81, ..., match=True)
    verifier.identify("door.jpg")              # every face: who, or None
    verifier.compare("ada1.jpg", "door.jpg")   # one person? needs no gallery
    verifier.faces("door.jpg")                 # every face: box, landmarks, quality, embedding

help(edgeface.FaceVerifier) lists every call, dir(edgeface) every name, docs/python.md all of it.
Every error is an EdgeFaceError, whose text is one sentence for a person.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeface.decide import Decision
    from edgeface.enrollment import Enrollment, Rejection
    from edgeface.errors import (
        ConfigError,
        EdgeFaceError,
        FaceError,
        GalleryError,
        ModelError,
        PictureError,
        RuntimeMissing,
        UnknownPerson,
    )
    from edgeface.gallery.file import DamagedGallery
    from edgeface.gallery.gallery import Gallery, Match
    from edgeface.gallery.names import PersonName
    from edgeface.gallery.newest import OlderGallery
    from edgeface.history.store import HistoryError
    from edgeface.pipeline.detect import Face, Landmarks
    from edgeface.pipeline.encode import Embedding
    from edgeface.pipeline.geometry import Box, Point
    from edgeface.pipeline.pictures import ImageInput
    from edgeface.pipeline.pipeline import EncodedFace, Timings
    from edgeface.pipeline.quality import Quality
    from edgeface.service.client import ServiceError
    from edgeface.sinks import SinkError, Undelivered
    from edgeface.sources.base import SourceEnded, SourceLost
    from edgeface.verifier import FaceVerifier, Identification

__version__ = "0.1.0"
__all__ = [
    "Box",
    "ConfigError",
    "DamagedGallery",
    "Decision",
    "EdgeFaceError",
    "Embedding",
    "EncodedFace",
    "Enrollment",
    "Face",
    "FaceError",
    "FaceVerifier",
    "Gallery",
    "GalleryError",
    "HistoryError",
    "Identification",
    "ImageInput",
    "Landmarks",
    "Match",
    "ModelError",
    "OlderGallery",
    "PersonName",
    "PictureError",
    "Point",
    "Quality",
    "Rejection",
    "RuntimeMissing",
    "ServiceError",
    "SinkError",
    "SourceEnded",
    "SourceLost",
    "Timings",
    "Undelivered",
    "UnknownPerson",
    "__version__",
]

_HOMES = {
    "Box": "edgeface.pipeline.geometry",
    "ConfigError": "edgeface.errors",
    "DamagedGallery": "edgeface.gallery.file",
    "Decision": "edgeface.decide",
    "EdgeFaceError": "edgeface.errors",
    "Embedding": "edgeface.pipeline.encode",
    "EncodedFace": "edgeface.pipeline.pipeline",
    "Enrollment": "edgeface.enrollment",
    "Face": "edgeface.pipeline.detect",
    "FaceError": "edgeface.errors",
    "FaceVerifier": "edgeface.verifier",
    "Gallery": "edgeface.gallery.gallery",
    "GalleryError": "edgeface.errors",
    "HistoryError": "edgeface.history.store",
    "Identification": "edgeface.verifier",
    "ImageInput": "edgeface.pipeline.pictures",
    "Landmarks": "edgeface.pipeline.detect",
    "Match": "edgeface.gallery.gallery",
    "ModelError": "edgeface.errors",
    "PersonName": "edgeface.gallery.names",
    "OlderGallery": "edgeface.gallery.newest",
    "PictureError": "edgeface.errors",
    "Point": "edgeface.pipeline.geometry",
    "Quality": "edgeface.pipeline.quality",
    "Rejection": "edgeface.enrollment",
    "RuntimeMissing": "edgeface.errors",
    "ServiceError": "edgeface.service.client",
    "SinkError": "edgeface.sinks",
    "SourceEnded": "edgeface.sources.base",
    "SourceLost": "edgeface.sources.base",
    "Timings": "edgeface.pipeline.pipeline",
    "Undelivered": "edgeface.sinks",
    "UnknownPerson": "edgeface.errors",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'edgeface' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Every public name, but none for `help(edgeface)`, which would print each class in full, some
    700 lines, after the text above."""
    return [] if _asked_by_help() else sorted({*globals(), *__all__})


def _asked_by_help() -> bool:
    frame = sys._getframe().f_back
    while frame is not None and frame.f_globals.get("__name__") != "pydoc":
        frame = frame.f_back
    return frame is not None
