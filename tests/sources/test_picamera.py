"""The Pi camera through the real picamera2, on a stand-in for libcamera and the DMA heap.

picamera2 comes from PyPI (pip install --no-deps -r requirements-camera.txt); without it these tests
are left out.
"""

from __future__ import annotations

import gc
import os
import sys
import types
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from edgeface.errors import ConfigError
from edgeface.service.config import Config
from edgeface.service.doctor import examine
from edgeface.sources import SourceLost, SourceSettings, open_source
from edgeface.sources.feed import LiveFeed

HARDWARE = Path(__file__).parent / "hardware"
NEEDED = ("picamera2", "simplejpeg", "piexif", "pidng", "PIL", "videodev2", "av")
real_picamera2 = pytest.mark.skipif(
    any(find_spec(name) is None for name in NEEDED),
    reason="picamera2 is not installed (requirements-camera.txt)",
)


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stand-in; picamera2 is imported on it afresh."""
    forget = ("picamera2", "libcamera")
    for name in [name for name in sys.modules if name.split(".")[0] in forget]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(HARDWARE)
    for unused in ("prctl", "pykms", "kms"):  # Debian's, for a name of threads and for screens
        monkeypatch.setitem(sys.modules, unused, MagicMock())
    import libcamera

    monkeypatch.setitem(sys.modules, "libcamera.controls", libcamera.controls)
    from picamera2 import dma_heap
    from picamera2.allocators import dmaallocator

    class Heap:
        """Memory as the DMA heap gives it: a file descriptor that can be mapped."""

        def alloc(self, name: str, size: int) -> Any:
            descriptor = os.memfd_create(name)
            os.truncate(descriptor, size)
            return types.SimpleNamespace(get=lambda: descriptor, isValid=lambda: True)

        def close(self) -> None:
            pass

    monkeypatch.setattr(dmaallocator, "DmaHeap", Heap)
    monkeypatch.setattr(dma_heap, "DmaHeap", Heap)
    monkeypatch.setattr(dmaallocator.fcntl, "ioctl", lambda *_: 0)
    yield libcamera
    for name in [name for name in sys.modules if name.split(".")[0] in forget]:
        monkeypatch.delitem(sys.modules, name)


def camera(hardware: Any) -> Any:
    return hardware.CameraManager.singleton().cameras[0]


@real_picamera2
def test_frames_are_views_of_the_camera_s_buffers_and_go_back(hardware: Any) -> None:
    source = open_source(SourceSettings(spec="picamera2", width=640, height=480, fps=20))
    levels = []
    for _ in range(30):  # many more than there are buffers
        frame = source.read()
        assert frame.picture.shape == (480, 640, 3)
        assert frame.luma is not None
        assert frame.luma.shape == (240, 320)
        assert not frame.picture.flags.owndata
        levels.append(int(frame.picture[7, 7, 1]))
        assert frame.picture.min() == frame.picture.max() == frame.luma.max()
        frame.release()
    del frame  # a view that is still held keeps the camera's memory mapped
    assert levels == sorted(set(levels))
    source.close()


@real_picamera2
def test_both_streams_are_configured_once_with_automatic_exposure_and_focus(hardware: Any) -> None:
    source = open_source(SourceSettings(spec="picamera2", width=640, height=480, fps=20))
    main, lores = camera(hardware).configured
    assert (main.pixel_format, main.size.to_tuple()) == ("RGB888", (640, 480))
    assert (lores.pixel_format, lores.size.to_tuple()) == ("YUV420", (320, 240))
    started = camera(hardware).started_with
    assert started["FrameDurationLimits"] == (50_000, 50_000)
    assert started["AeEnable"] is True
    assert started["AfMode"] == hardware.controls.AfModeEnum.Continuous
    source.close()


@real_picamera2
@pytest.mark.parametrize(
    ("rotation", "mirror", "orientation", "shape"),
    [
        (0, False, "Rotate0", (480, 640, 3)),
        (180, False, "Rotate180", (480, 640, 3)),
        (0, True, "Rotate0Mirror", (480, 640, 3)),
        (180, True, "Rotate180Mirror", (480, 640, 3)),
        (90, True, "Rotate0", (640, 480, 3)),
    ],
)
def test_the_sensor_turns_what_it_can(
    hardware: Any, rotation: Any, mirror: bool, orientation: str, shape: tuple[int, ...]
) -> None:
    settings = SourceSettings(
        spec="picamera2", width=640, height=480, rotation=rotation, mirror=mirror
    )
    source = open_source(settings)
    assert camera(hardware).configured.orientation.name == orientation
    frame = source.read()
    assert frame.picture.shape == shape
    frame.release()
    del frame
    source.close()


@real_picamera2
def test_a_feed_closes_the_camera_without_leaking_descriptors(hardware: Any) -> None:
    def watch() -> int:
        with LiveFeed(SourceSettings(spec="picamera2", width=640, height=480)) as feed:
            for _ in range(5):
                assert feed.next(3) is not None
        gc.collect()  # picamera2's objects refer to one another
        return len(list(Path("/proc/self/fd").iterdir()))

    first = watch()
    assert max(watch() for _ in range(3)) <= first


@real_picamera2
def test_no_camera_and_a_held_one_get_their_own_advice(
    hardware: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEFACE_SOCKET", "/nowhere/control.sock")
    config = Config(source=SourceSettings(spec="picamera2"))
    monkeypatch.setattr(hardware, "PLUGGED", False)
    with pytest.raises(SourceLost, match="no camera is attached"):
        open_source(SourceSettings(spec="picamera2"))
    (check,) = [check for check in examine(config) if check.name == "camera"]
    assert "ribbon cable" in check.advice
    monkeypatch.setattr(hardware, "PLUGGED", True)
    monkeypatch.setattr(hardware, "BUSY", True)
    (check,) = [check for check in examine(config) if check.name == "camera"]
    assert check.detail == "another program holds the camera"
    assert "fuser" in check.advice


@real_picamera2
def test_a_camera_that_falls_silent_is_lost(hardware: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(SourceSettings(spec="picamera2", width=640, height=480))
    source.read().release()
    monkeypatch.setattr(hardware, "SILENT", True)
    with pytest.raises(SourceLost, match="stopped delivering"):
        for _ in range(10):
            source.read().release()
    source.close()


def test_without_libcamera_the_advice_is_the_debian_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "libcamera", None)
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(ConfigError, match="apt install python3-picamera2"):
        open_source(SourceSettings(spec="picamera2"))
