"""Every error that EdgeFace raises on purpose: one small tree, each with one sentence for a person.

Each class also inherits a built-in exception, so `except ValueError` works too. The message says
what is wrong and what to do next; the command line prints it as it is and exits with 2.
"""

from __future__ import annotations


class EdgeFaceError(Exception):
    """Base of all errors raised on purpose by this package."""


class PictureError(EdgeFaceError, ValueError):
    """A file or array that cannot be read as a picture."""


class FaceError(EdgeFaceError, ValueError):
    """A picture without the face it should show: no face, several, or an unfit one."""


class ModelError(EdgeFaceError, ValueError):
    """A model file that is missing, damaged, without a description or of the wrong kind."""


class RuntimeMissing(EdgeFaceError, ImportError):
    """No TFLite interpreter is installed."""


class GalleryError(EdgeFaceError, ValueError):
    """A gallery file that is damaged, foreign, made by another model, or cannot be written."""


class UnknownPerson(GalleryError, KeyError):
    """A name that is not enrolled."""

    __str__ = Exception.__str__  # KeyError would print the sentence in quotes


class ConfigError(EdgeFaceError, ValueError):
    """An option or a setting that cannot be used."""
