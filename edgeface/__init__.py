"""EdgeFace: face verification and recognition on the device, offline.

    import edgeface
    verifier = edgeface.FaceVerifier()
    verifier.enroll("ada", ["ada1.jpg", "ada2.jpg"])
    verifier.verify("ada", "door.jpg")      # Decision(name='ada', score=0.81, ..., match=True)
    verifier.identify("door.jpg")           # every face: who, or None

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeface.decide import Decision
    from edgeface.enrollment import Enrollment
    from edgeface.errors import EdgeFaceError
    from edgeface.pipeline.detect import Face
    from edgeface.verifier import FaceVerifier, Identification

__version__ = "0.1.0"
__all__ = [
    "Decision",
    "EdgeFaceError",
    "Enrollment",
    "Face",
    "FaceVerifier",
    "Identification",
    "__version__",
]

_HOMES = {
    "Decision": "edgeface.decide",
    "EdgeFaceError": "edgeface.errors",
    "Enrollment": "edgeface.enrollment",
    "Face": "edgeface.pipeline.detect",
    "FaceVerifier": "edgeface.verifier",
    "Identification": "edgeface.verifier",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'edgeface' has no attribute {name!r}")
