"""Cameras and streams that OpenCV reads: V4L2 devices and RTSP URLs.

Takes in a device or a URL, hands on frames as they come. It tells a loss at once (SourceLost) and
never retries: the feed does.
"""

from __future__ import annotations

import os
import ssl
import time
from pathlib import Path

import cv2

from edgeface.sources.base import (
    Frame,
    SourceLost,
    SourceSettings,
    next_picture,
    open_capture,
    open_with,
    tls_context,
    tls_trouble,
    upright,
)
from edgeface.sources.limits import too_large
from edgeface.sources.relay import Relay
from edgeface.system.address import Address

_ANSWER_MS = 5000  # how long a server may stay silent before it counts as lost
_LIMITS = {
    cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: _ANSWER_MS,
    cv2.CAP_PROP_READ_TIMEOUT_MSEC: _ANSWER_MS,
}
_FOLLOWS_SIZE = int(cv2.__version__.partition(".")[0]) >= 5
_PORTS = {"rtsp": 554, "rtsps": 322}
_OVER_RELAY = "rtsp_transport;tcp|protocol_whitelist;rtsp,rtp,tcp"


class V4l2:
    """A USB or CSI camera by its number or path (/dev/v4l/by-id/... stays the same over boots)."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self.name = f"camera {settings.spec}"
        target = int(settings.spec) if settings.spec.isdecimal() else settings.spec
        options = {
            # MJPG first: many USB cameras reach their larger sizes only compressed.
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"MJPG"),
            cv2.CAP_PROP_FRAME_WIDTH: settings.width,
            cv2.CAP_PROP_FRAME_HEIGHT: settings.height,
            cv2.CAP_PROP_FPS: settings.fps,
        }
        try:
            self._capture = open_capture(target, cv2.CAP_V4L2, options)
        except SourceLost:
            raise SourceLost(_advice(settings.spec)) from None
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def read(self) -> Frame:
        return _read(self._capture, self.name, self._settings)

    def close(self) -> None:
        self._capture.release()


class Stream:
    """A stream by its URL; RTSP comes through a relay, over TCP, so that no redirect is followed
    and the certificate of rtsps:// is checked."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self.name = str(settings.spec)
        self._relay = _relay(settings) if Address.of(settings.spec).scheme in _PORTS else None
        try:
            self._capture = self._open()
        except SourceLost:
            trouble = self._relay.trouble if self._relay else None
            self.close()
            raise SourceLost(
                f"the stream {self.name} is not read: {trouble}"
                if trouble
                else f"the stream {self.name} does not open; check the address, the user and "
                "password, and that its server runs"
            ) from None
        unfit = too_large(self._capture)
        if unfit:
            self.close()
            raise SourceLost(f"the stream {self.name} {unfit}; choose a smaller size at the camera")

    def _open(self) -> cv2.VideoCapture:
        address = Address.of(self._settings.spec)
        user, password = self._settings.login() or (None, None)
        if self._relay is None:
            url = address.for_place(address.place, address.scheme, user, password).open()
            return open_capture(url, cv2.CAP_FFMPEG, _LIMITS)
        url = address.for_place(self._relay.place, "rtsp", user, password).open()
        return open_with(_OVER_RELAY, url, _LIMITS)

    def read(self) -> Frame:
        try:
            return _read(self._capture, self.name, self._settings)
        except SourceLost:
            if self._relay is None or self._relay.trouble is None:
                raise
            raise SourceLost(f"the stream {self.name} ended: {self._relay.trouble}") from None

    def close(self) -> None:
        if self._relay is not None:
            self._relay.close()
        if hasattr(self, "_capture"):
            self._capture.release()


def _relay(settings: SourceSettings) -> Relay:
    address = Address.of(settings.spec)
    try:
        port = address.port or _PORTS[address.scheme]
        context = tls_context(settings.ca_file) if address.scheme == "rtsps" else None
        return Relay(address.host, port, context, one_size=not _FOLLOWS_SIZE)
    except ssl.SSLError as error:
        raise SourceLost(tls_trouble(str(address), error)) from None
    except OSError:
        raise SourceLost(
            f"the stream {address} does not open; check the address and that its server runs"
        ) from None


def _advice(spec: str) -> str:
    """What is wrong with a V4L2 device that does not open, and what to do."""
    path = Path(f"/dev/video{spec}" if spec.isdecimal() else spec)
    if not path.exists():
        return f"there is no camera {path}; plug it in, or choose one from: ls /dev/v4l/by-id/"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"you may not use {path}; run: sudo usermod -aG video $USER, then log in again"
    return f"the camera {path} does not open; see who holds it with: sudo fuser -v {path}"


def _read(capture: cv2.VideoCapture, name: str, settings: SourceSettings) -> Frame:
    picture = next_picture(capture)
    if picture is None:
        raise SourceLost(f"{name} stopped delivering pictures")
    return Frame(upright(picture, settings), time.monotonic())
