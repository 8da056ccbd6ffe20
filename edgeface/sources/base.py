"""What every source hands on, and how it says that it cannot.

A `FrameSource` is read by one thread, a frame at a time. It retries nothing: `feed.py` does, for
all kinds alike.
"""

from __future__ import annotations

import math
import os
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Literal, Protocol, cast

import cv2
import msgspec
import numpy as np

from edgeface.errors import ConfigError, EdgeFaceError
from edgeface.pipeline.pictures import Picture
from edgeface.system.address import Address, is_url
from edgeface.system.chatter import overheard
from edgeface.system.secret import Secret
from edgeface.system.settings import FPS, LONGEST, PIXELS, SettingsTable, between, lasts
from edgeface.system.units import Seconds


class SourceLost(EdgeFaceError, OSError):
    """A camera or stream that does not deliver now, but may again."""

    __str__ = Exception.__str__  # OSError would print an errno


class SourceEnded(EdgeFaceError, EOFError):
    """A file or folder that has no more frames."""


Area = tuple[float, float, float, float]
_SAMPLE = 16  # every so many pixels of a row or column tell a picture's colour


class SourceSettings(SettingsTable, frozen=True, kw_only=True):
    """[source]: what to open and how. Sizes are wishes: a camera may choose its nearest.

    rotation: degrees clockwise that make the picture upright; mirror: swap left and right; pace:
    whether a video plays at its own speed or as fast as frames are taken; loop: begin again at
    the end of a file or folder; blind_after: how long a picture without anything in it, or always
    the same one, is taken for one; user, password: of a URL, where it does not hold them itself;
    ca_file: the authority that an https:// or rtsps:// camera's certificate must come from, instead
    of the system's; ignore: areas of the upright picture, each (left, top, width, height) in shares
    of its width and height, that are painted over before anything sees them.

    A spec that is a URL becomes an `Address`, which shows dots for its secrets.
    """

    spec: str = "picamera2"
    user: Secret | None = None
    password: Secret | None = None
    ca_file: str | None = None
    width: int = 1280
    height: int = 720
    fps: float = 15.0
    rotation: Literal[0, 90, 180, 270] = 0
    mirror: bool = False
    pace: Literal["own", "fast"] = "fast"
    loop: bool = False
    blind_after: Seconds = Seconds(10)
    ignore: tuple[Area, ...] = ()

    def __post_init__(self) -> None:
        between("width", self.width, *PIXELS)
        between("height", self.height, *PIXELS)
        between("fps", self.fps, *FPS)
        lasts("blind_after", self.blind_after, 1, LONGEST)
        for area in self.ignore:
            _check(area)
        if not self.spec.strip():
            raise ValueError("spec is empty; name a camera, a picture, folder or video, or a URL")
        if self.ca_file is not None and not self.spec.lower().startswith(("https://", "rtsps://")):
            raise ValueError("ca_file is for cameras whose spec begins with https:// or rtsps://")
        if is_url(self.spec):
            self._use_address()
        elif re.search(r":.*@", self.spec) and not Path(self.spec).exists():
            raise ValueError("spec is no URL; begin it with its kind, as in rtsp:// or http://")

    def _use_address(self) -> None:
        msgspec.structs.force_setattr(self, "spec", Address.of(self.spec, "spec"))
        if self.credentials is not None and (self.user or self.password) is not None:
            raise ValueError("user and password stand in the URL of spec already; write them once")

    @property
    def credentials(self) -> tuple[Secret, Secret] | None:
        """User and password within the spec, None where it has none."""
        if not isinstance(self.spec, Address) or self.spec.user is None:
            return None
        return self.spec.user, self.spec.password or Secret("")

    def login(self) -> tuple[str, str] | None:
        """User and password in clear text, for whoever sends them; None where there are none."""
        user, password = self.credentials or (self.user, self.password)
        if user is None and password is None:
            return None
        return user.open() if user else "", password.open() if password else ""


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    picture: uint8 BGR, shape (H, W, 3), upright; time: seconds on the source's own clock, which
    only grows; luma: a small grey version, uint8, shape (h, w), where the camera makes one; still:
    whether it has nothing to do with the picture before; release: gives the memory back to the
    camera, after which neither picture must be read; taken: the same moment by the monotonic clock,
    which says how old it is, whatever the source counts; name: what to call this picture, where it
    has a name of its own.
    """

    picture: Picture
    time: float
    luma: Picture | None = None
    still: bool = False
    release: Callable[[], None] = _nothing
    taken: float = field(default_factory=monotonic)
    name: str | None = None


class FrameSource(Protocol):
    """An open source. `close` may be called while nobody reads, and more than once."""

    @property
    def name(self) -> str:
        """What to call it in a status line."""
        ...

    def read(self) -> Frame:
        """The next frame; raises SourceLost or SourceEnded."""
        ...

    def close(self) -> None:
        """Let go of the device or file."""
        ...


_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def upright(picture: Any, settings: SourceSettings) -> Picture:
    """A picture as OpenCV gives it, turned and mirrored as the settings say."""
    if settings.rotation:
        picture = cv2.rotate(picture, _TURNS[settings.rotation])
    if settings.mirror:
        picture = cv2.flip(picture, 1)
    return masked(picture, settings) if settings.ignore else cast(Picture, picture)


def masked(picture: Any, settings: SourceSettings) -> Picture:
    """A copy of an upright picture, uint8 of shape (H, W, 3) or (H, W), whose ignored areas have
    its mean colour: where all else is black or of one colour, so are they."""
    copy = picture.copy()
    height, width = copy.shape[:2]
    colour = np.rint(copy[::_SAMPLE, ::_SAMPLE].mean(axis=(0, 1))).astype(np.uint8)
    for left, top, wide, high in settings.ignore:
        x, y = math.floor(left * width), math.floor(top * height)
        copy[y : math.ceil((top + high) * height), x : math.ceil((left + wide) * width)] = colour
    return cast(Picture, copy)


def _check(area: Area) -> None:
    left, top, wide, high = area
    inside = left >= 0 and top >= 0 and left + wide <= 1 and top + high <= 1
    if not (inside and wide > 0 and high > 0) or wide * high == 1:
        raise ValueError(
            "ignore must be a list of areas within the picture, each [left, top, width, height] in "
            "shares of its size, as in [[0.0, 0.0, 0.25, 0.5]] for a strip at the upper left"
        )


_OPENING = threading.Lock()  # FFmpeg's options come from the environment of the whole process
_FFMPEG_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


def open_with(ffmpeg: str, target: str, options: Mapping[int, float]) -> cv2.VideoCapture:
    """The same with these options of FFmpeg ("key;value|key;value") and no others."""
    with _OPENING:
        before = os.environ.get(_FFMPEG_OPTIONS)
        os.environ[_FFMPEG_OPTIONS] = ffmpeg
        try:
            return open_capture(target, cv2.CAP_FFMPEG, options)
        finally:
            del os.environ[_FFMPEG_OPTIONS]
            if before is not None:
                os.environ[_FFMPEG_OPTIONS] = before


def open_capture(target: str | int, api: int, options: Mapping[int, float]) -> cv2.VideoCapture:
    """An open cv2.VideoCapture, or SourceLost; what OpenCV and FFmpeg print goes nowhere, since it
    may hold a URL with its password."""
    # Read once by OpenCV, when it first uses FFmpeg; -8 is AV_LOG_QUIET.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    _silence(cv2)
    capture = cv2.VideoCapture()
    try:
        opened = capture.open(target, api, [round(n) for pair in options.items() for n in pair])
    except cv2.error:
        opened = False
    if not opened:
        capture.release()
        raise SourceLost("OpenCV cannot open it")
    if api != cv2.CAP_V4L2:
        # A phone's video says how it was held; OpenCV 5 turns it by itself, OpenCV 4.11 does not.
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def next_picture(capture: cv2.VideoCapture) -> Picture | None:
    """The next picture of an open capture, None where there is none.

    Waiting for it and decoding it are two steps, since decoders print their warnings on stderr.
    """
    if not capture.grab():
        return None
    with overheard():
        found, picture = capture.retrieve()
    return cast(Picture, picture) if found else None


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """What checks a camera's certificate and name; ConfigError if `ca_file` cannot be read."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        reason = error.strerror or "it holds no certificate"
        raise ConfigError(f"source.ca_file: cannot read {ca_file} ({reason}); check it") from None


def tls_trouble(name: str, error: ssl.SSLError) -> str:
    """A sentence for a camera whose TLS is not accepted."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {name} is not accepted ({error.verify_message}); if it comes from "
            "an authority of your own, name its certificate as [source] ca_file"
        )
    return f"{name} speaks no TLS that can be trusted ({error.reason or 'it ended'})"


def _silence(opencv: Any) -> None:
    """Turn OpenCV's log off: OpenCV 4 has the switch at its top, OpenCV 5 in a module."""
    if hasattr(opencv, "setLogLevel"):
        opencv.setLogLevel(0)
    else:
        opencv.utils.logging.setLogLevel(opencv.utils.logging.LOG_LEVEL_SILENT)
