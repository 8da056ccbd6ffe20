"""A stand-in for libcamera's Python binding: one camera of 1,920 x 1,080 without a lens.

picamera2 itself, from PyPI, runs on it unchanged. Pictures count up in brightness. `PLUGGED`,
`BUSY` and `SILENT` play a missing, a held and a dead camera.
"""

from __future__ import annotations

import contextlib
import enum
import itertools
import mmap
import os
import threading
import types
from typing import Any

PLUGGED, BUSY, SILENT = True, False, False


class StreamRole(enum.Enum):
    Raw, StillCapture, VideoRecording, Viewfinder = range(4)


class Orientation(enum.Enum):
    (Rotate0, Rotate0Mirror, Rotate180, Rotate180Mirror, Rotate90, Rotate90Mirror, Rotate270,
     Rotate270Mirror) = range(8)  # fmt: skip


class ControlType(enum.Enum):
    Integer, Rectangle, Size = range(3)


class Size:
    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height

    def to_tuple(self) -> tuple[int, int]:
        return self.width, self.height


class Rectangle(Size):
    pass


class PixelFormat(str):
    pass


class Transform:
    def __init__(self, copied: Any = None, hflip: int = 0, vflip: int = 0, transpose: int = 0):
        if copied is not None:
            hflip, vflip, transpose = copied.hflip, copied.vflip, copied.transpose
        self.hflip, self.vflip, self.transpose = bool(hflip), bool(vflip), bool(transpose)

    def __str__(self) -> str:
        return f"{self.hflip} {self.vflip} {self.transpose}"

    def __hash__(self) -> int:
        return id(self)


class ColorSpace:
    primaries: str

    class YcbcrEncoding(enum.Enum):
        Null, Rec601 = range(2)

    class Range(enum.Enum):
        Full, Limited = range(2)

    def __init__(self, copied: ColorSpace | None = None, kind: str = "") -> None:
        kind = copied.primaries if copied is not None else kind
        self.primaries = self.transferFunction = kind
        self.ycbcrEncoding, self.range = self.YcbcrEncoding.Rec601, self.Range.Limited

    def __str__(self) -> str:
        return self.primaries

    @classmethod
    def Sycc(cls) -> ColorSpace:  # noqa: N802 (libcamera's name)
        return cls(kind="sycc")

    @classmethod
    def Smpte170m(cls) -> ColorSpace:  # noqa: N802 (libcamera's name)
        return cls(kind="smpte170m")

    @classmethod
    def Rec709(cls) -> ColorSpace:  # noqa: N802 (libcamera's name)
        return cls(kind="rec709")

    @classmethod
    def Raw(cls) -> ColorSpace:  # noqa: N802 (libcamera's name)
        return cls(kind="raw")

    def __hash__(self) -> int:
        return id(self)


class SensorConfiguration:
    bit_depth = 0
    output_size: Size | None = None


class FrameMetadata:
    class Status(enum.Enum):
        Success, Error = range(2)

    status = Status.Success


class FrameBuffer:
    class Plane:
        fd = offset = length = 0

    def __init__(self, planes: list[Plane]) -> None:
        self.planes, self.metadata = planes, FrameMetadata()


class Request:
    class Status(enum.Enum):
        Pending, Complete = range(2)

    def __init__(self, cookie: int) -> None:
        self.cookie, self.status = cookie, self.Status.Pending
        self.buffers: dict[Any, FrameBuffer] = {}
        self.metadata: dict[Any, Any] = {}

    def add_buffer(self, stream: Any, buffer: FrameBuffer) -> None:
        self.buffers[stream] = buffer

    def reuse(self) -> None:
        self.status = self.Status.Pending

    def set_control(self, control: Any, value: Any) -> None:
        pass


class _Formats:
    pixel_formats = (PixelFormat("SRGGB10_CSI2P"),)

    def sizes(self, pixel_format: str) -> list[Size]:
        return [Size(1920, 1080)]


class _StreamConfiguration:
    def __init__(self) -> None:
        self.formats, self.stream = _Formats(), object()
        self.size, self.pixel_format = Size(0, 0), PixelFormat("RGB888")
        self.buffer_count = self.stride = self.frame_size = 0
        self.color_space: ColorSpace | None = None


class CameraConfiguration:
    class Status(enum.Enum):
        Valid, Adjusted, Invalid = range(3)

    def __init__(self, roles: list[StreamRole]) -> None:
        self._streams = [_StreamConfiguration() for _ in roles]
        self.orientation = Orientation.Rotate0
        self.sensor_config: SensorConfiguration | None = None

    def at(self, position: int) -> _StreamConfiguration:
        return self._streams[position]

    def __iter__(self) -> Any:
        return iter(self._streams)

    def validate(self) -> Status:
        for stream in self._streams:
            width, height = stream.size.to_tuple()
            colour = stream.pixel_format == "RGB888"
            # The hardware pads its rows.
            stream.stride = (width * (3 if colour else 1) + 63) // 64 * 64
            stream.frame_size = stream.stride * height * (2 if colour else 3) // 2
        return self.Status.Adjusted


class _Control:
    def __init__(self, name: str, kind: ControlType = ControlType.Integer) -> None:
        self.name, self.type = name, kind


class _Range:
    min, max, default = 0, 100, 0


controls = types.SimpleNamespace(
    **{name: _Control(name) for name in ("ExposureTime", "AnalogueGain", "ExposureTimeMode",
       "AnalogueGainMode", "FrameDurationLimits", "AeEnable", "AfMode", "NoiseReductionMode")},
    AfModeEnum=types.SimpleNamespace(Continuous=2),
    draft=types.SimpleNamespace(NoiseReductionModeEnum=types.SimpleNamespace(
        Fast=1, Off=0, HighQuality=2, Minimal=3)),
)  # fmt: skip
properties = types.SimpleNamespace()


class _Camera:
    id = "/base/soc/i2c0mux/i2c@1/imx708@1a"

    def __init__(self, manager: CameraManager) -> None:
        self._manager = manager
        self.controls = {c: _Range() for c in vars(controls).values() if isinstance(c, _Control)}
        self.properties = {
            _Control("Model"): "imx708",
            _Control("ColorFilterArrangement"): 0,
        }
        self.configured: CameraConfiguration | None = None
        self.started_with: dict[str, Any] = {}
        self._queued: list[Request] = []
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def acquire(self) -> None:
        if BUSY:
            raise RuntimeError("Failed to acquire camera: Device or resource busy")

    def release(self) -> None:
        pass

    def generate_configuration(self, roles: list[StreamRole]) -> CameraConfiguration:
        return CameraConfiguration(roles)

    def configure(self, configuration: CameraConfiguration) -> int:
        self.configured = configuration
        return 0

    def create_request(self, cookie: int) -> Request:
        return Request(cookie)

    def queue_request(self, request: Request) -> None:
        with self._lock:
            self._queued.append(request)

    def start(self, wanted: dict[_Control, Any]) -> None:
        self.started_with = {control.name: value for control, value in wanted.items()}
        self._stopped = threading.Event()
        threading.Thread(target=self._expose, args=(self._stopped,), daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        with self._lock:
            self._queued.clear()

    def _expose(self, stopped: threading.Event) -> None:
        for number in itertools.count():
            if stopped.wait(0.02):
                return
            with self._lock:
                request = self._queued.pop(0) if self._queued and not SILENT else None
            if request is None:
                continue
            for buffer in request.buffers.values():
                plane = buffer.planes[0]
                with mmap.mmap(plane.fd, plane.length) as memory:
                    memory[:] = bytes([number % 250]) * plane.length
            request.status = Request.Status.Complete
            self._manager.finish(request)


class CameraManager:
    _only: CameraManager | None = None

    def __init__(self) -> None:
        self.event_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self._ready: list[Request] = []
        self._lock = threading.Lock()
        self._camera = _Camera(self)

    @classmethod
    def singleton(cls) -> CameraManager:
        cls._only = cls._only or cls()
        return cls._only

    @property
    def cameras(self) -> list[_Camera]:
        return [self._camera] if PLUGGED else []

    def finish(self, request: Request) -> None:
        with self._lock:
            self._ready.append(request)
        os.eventfd_write(self.event_fd, 1)

    def get_ready_requests(self) -> list[Request]:
        with self._lock:
            ready, self._ready = self._ready, []
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.event_fd)
        return ready


_libcamera = types.SimpleNamespace(ColorSpace=ColorSpace, Transform=Transform)
