"""Sources: where frames come from, behind one interface.

Takes in what a person writes after `--source` (picamera2, a V4L2 index or path, a picture, a
folder, a video or a URL), hands on an open `FrameSource`. Only the source that is asked for is
imported. Nothing here looks for faces.
"""

from __future__ import annotations

from pathlib import Path

from edgeface.errors import ConfigError
from edgeface.sources.base import Frame, FrameSource, SourceEnded, SourceLost, SourceSettings

__all__ = [
    "Frame",
    "FrameSource",
    "SourceEnded",
    "SourceLost",
    "SourceSettings",
    "is_camera",
    "is_live",
    "needs_network",
    "open_source",
]

_HTTP = ("http://", "https://")
_URLS = (*_HTTP, "rtsp://", "rtsps://")
_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


def open_source(settings: SourceSettings) -> FrameSource:
    """Open the source that `settings.spec` names.

    Raises ConfigError for a spec that can never work (no such file) and SourceLost for one that
    may work later (a camera that is unplugged, a server that does not answer).
    """
    spec = settings.spec
    if spec == "picamera2":
        from edgeface.sources.picamera import PiCamera

        return PiCamera(settings)
    if is_camera(spec):
        from edgeface.sources.stream import V4l2

        return V4l2(settings)
    if spec.lower().startswith(_HTTP):
        from edgeface.sources.mjpeg import Mjpeg

        return Mjpeg(settings)
    if needs_network(spec):
        from edgeface.sources.stream import Stream

        return Stream(settings)
    from edgeface.sources.files import Pictures, Video

    path = Path(spec)  # of a URL of another kind, what it shows
    if not path.exists():
        raise ConfigError(
            f"there is no source {spec}: use picamera2, a camera's number, a picture, folder or "
            "video, or a URL that begins with http:// or rtsp://"
        )
    if path.is_dir() or path.suffix.lower() in _PICTURES:
        return Pictures(settings)
    return Video(settings)


def needs_network(spec: str) -> bool:
    """Whether the source is read over the network."""
    return spec.lower().startswith(_URLS)


def is_camera(spec: str) -> bool:
    """Whether the source is a camera of this machine."""
    return spec == "picamera2" or spec.isdecimal() or spec.startswith("/dev/")


def is_live(settings: SourceSettings) -> bool:
    """Whether frames come at their own time, so that late ones are skipped rather than queued."""
    spec = settings.spec
    return is_camera(spec) or needs_network(spec) or settings.pace == "own"
