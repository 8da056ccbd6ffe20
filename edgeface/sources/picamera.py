"""The Raspberry Pi camera through picamera2.

Takes in the wished size and rate, hands on frames that are views of the camera's own buffers: no
copy is made, and `Frame.release` gives a buffer back. A colour stream and a small one for motion
are configured once. Imports picamera2 only when opened, since its libcamera binding comes from
Debian packages and not from PyPI.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from importlib import import_module
from typing import Any

from edgeface.errors import ConfigError
from edgeface.sources.base import Frame, SourceLost, SourceSettings, masked, upright

# One buffer is being judged, one waits as the newest, the others are the camera's to fill.
_BUFFERS = 4
_LUMA_SIZE = (320, 240)  # the small stream, whose brightness plane tells whether anything moves
_ANSWER = 3.0  # seconds without a picture after which the camera counts as lost
INSTALL_ADVICE = (
    "install it with: sudo apt install python3-picamera2, and make the environment with: "
    "python3 -m venv --system-site-packages"
)


class PiCamera:
    """An open, started camera; exposure and white balance stay automatic."""

    name = "picamera2"

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        module, libcamera = import_picamera2()
        try:
            camera = module.Picamera2()
        except (RuntimeError, IndexError) as error:
            raise SourceLost(camera_advice(module, error)) from None
        self._mapped: Any = module.MappedArray
        self._camera: Any = camera
        try:
            self._start(camera, libcamera)
        except RuntimeError as error:
            camera.close()
            raise SourceLost(f"the camera cannot be started: {error}") from None

    def _start(self, camera: Any, libcamera: Any) -> None:
        settings = self._settings
        period = round(1e6 / settings.fps)  # microseconds
        # The sensor turns by half circles and mirrors for nothing; quarter turns are ours.
        half = settings.rotation == 180
        transform = libcamera.Transform(hflip=half != self._mirrored_by_sensor, vflip=half)
        controls: dict[str, Any] = {"FrameDurationLimits": (period, period), "AeEnable": True}
        if "AfMode" in camera.camera_controls:
            controls["AfMode"] = libcamera.controls.AfModeEnum.Continuous
        camera.configure(
            camera.create_video_configuration(
                # picamera2 names formats from the last byte: this is B, G, R in memory.
                main={"size": (settings.width, settings.height), "format": "RGB888"},
                lores={"size": _LUMA_SIZE, "format": "YUV420"},
                raw=None,
                transform=transform,
                buffer_count=_BUFFERS,
                queue=False,  # a picture from before the request would be a stale one
                controls=controls,
            )
        )
        camera.start()

    @property
    def _mirrored_by_sensor(self) -> bool:
        return self._settings.mirror and self._settings.rotation in (0, 180)

    def read(self) -> Frame:
        try:
            request = self._camera.capture_request(wait=_ANSWER)
        except (TimeoutError, RuntimeError) as error:
            raise SourceLost(f"the camera stopped delivering pictures ({error})") from None
        with ExitStack() as stack:
            stack.callback(request.release)
            picture = stack.enter_context(self._mapped(request, "main", write=False)).array
            small = stack.enter_context(self._mapped(request, "lores", write=False)).array
            luma = small[: _LUMA_SIZE[1], : _LUMA_SIZE[0]]
            if self._settings.rotation in (90, 270):
                # Turning makes a copy, so the buffer can go back at once.
                return Frame(upright(picture, self._settings), time.monotonic(), luma.copy())
            if self._settings.ignore:
                picture, luma = (masked(part, self._settings) for part in (picture, luma))
                return Frame(picture, time.monotonic(), luma)
            return Frame(picture, time.monotonic(), luma, release=stack.pop_all().close)

    def close(self) -> None:
        self._camera.close()


def import_picamera2() -> tuple[Any, Any]:
    """The modules picamera2 and libcamera; ConfigError says how to get what is missing."""
    try:
        return import_module("picamera2"), import_module("libcamera")
    except ImportError as error:
        missing = "libcamera" if error.name and "libcamera" in error.name else "picamera2"
        raise ConfigError(
            f"{missing}'s Python package is not there ({error}); {INSTALL_ADVICE}"
        ) from None
    except ValueError as error:  # "numpy.dtype size changed": built for NumPy 1, run beside NumPy 2
        raise ConfigError(
            f"picamera2 does not fit this environment's NumPy ({error}); install EdgeFace into a "
            "new environment, which chooses a NumPy that fits"
        ) from None


def camera_advice(module: Any, error: Exception) -> str:
    """One sentence for a camera that does not open: not attached, or held by another program."""
    if not module.Picamera2.global_camera_info():
        return (
            "no camera is attached; check its ribbon cable with the power off, then run: "
            "rpicam-hello --list-cameras"
        )
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if "busy" in str(cause).lower() or "acquire" in str(cause).lower():
        return (
            "another program holds the camera; find it with: sudo fuser -v /dev/video* "
            "/dev/media*, and stop it"
        )
    return f"the camera does not open: {cause}"
