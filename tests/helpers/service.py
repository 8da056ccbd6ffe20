"""What the tests of the service share: a video of a portrait, and the service as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from edgeface.demo.animate import Animated
from edgeface.demo.liveness import framed
from edgeface.pipeline.detect import Detector
from edgeface.pipeline.pictures import Picture, read_picture
from tests.helpers.images import read_image

LONG = 180.0  # seconds: only ends what hangs, however slow and busy the machine is
PORTRAITS = Path(__file__).resolve().parents[2] / "edgeface" / "portraits"


def portrait_video(path: Path, *names: str, frames: int = 40, fps: float = 20.0) -> Path:
    """Portraits side by side, swaying a little, in a video of 960 x 540."""
    faces = [read_image(PORTRAITS / f"{name}.jpg") for name in names]
    width = 960 // max(1, len(faces))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (960, 540))
    for number in range(frames):
        frame = np.full((540, 960, 3), 90, np.uint8)
        for place, face in enumerate(faces):
            scale = min(460 / face.shape[0], (width - 40) / face.shape[1])
            small = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            sway = round(15 * np.sin(2 * np.pi * number / frames))
            y, x = 40, place * width + 20 + sway
            frame[y : y + small.shape[0], x : x + small.shape[1]] = small
        writer.write(frame)
    writer.release()
    return path


def shown(name: str, how: str) -> Callable[[float], Picture]:
    """What a camera sees of a shipped portrait at a time in seconds: the person `speaking` (the
    stand-in for a living one), the picture `held` in a hand, or the picture `still`."""
    frame, face = framed(read_picture(PORTRAITS / f"{name}.jpg"), Detector(1))
    animated = Animated(frame, face)
    return {"speaking": animated.speaking, "held": animated.held, "still": lambda _: frame}[how]


def shown_video(path: Path, name: str, how: str, seconds: float = 3.0) -> Path:
    """The same as a video of 640 x 480 at 15 frames per second."""
    at, fps = shown(name, how), 15
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (640, 480))
    for number in range(round(seconds * fps)):
        writer.write(at(number / fps))
    writer.release()
    return path


class Running:
    """`edgeface run` in a process of its own, with its events as they come."""

    def __init__(
        self, folder: Path, settings: str, admin_group: str = "root", **environment: str
    ) -> None:
        self._admin_group = admin_group
        self.socket = folder / "control.sock"
        self.admin_socket = folder / "control-admin.sock"
        self.settings = folder / "edgeface.toml"
        self.gallery = folder / "gallery.safetensors"
        self.write(settings)
        self.environment = {
            **os.environ,
            "EDGEFACE_GALLERY": str(self.gallery),
            "EDGEFACE_SOCKET": str(self.socket),
            **environment,
        }
        self.events: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgeface", "run", "--config", str(self.settings)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            text=True,
        )
        self._readers = [
            threading.Thread(target=self._read_events, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def write(self, settings: str) -> None:
        """Portraits that only sway do not look alive: liveness is off unless it is switched on."""
        if "[liveness]" not in settings:
            settings += '\n[liveness]\nprofile = "convenience"\n'
        self.settings.write_text(
            f'{settings}\n[control]\nsocket = "{self.socket}"\ngroup = "root"\n'
            f'admin_group = "{self._admin_group}"\n'
        )

    def _read_events(self) -> None:
        for line in self.process.stdout or ():
            self.events.append(json.loads(line))

    def _read_errors(self) -> None:
        for line in self.process.stderr or ():
            self.errors.append(line)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another edgeface command beside the service."""
        return subprocess.run(
            [sys.executable, "-m", "edgeface", *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=LONG,
            check=False,
        )

    def ask(self, **request: Any) -> list[dict[str, Any]]:
        """All lines of the answer to a request of an administrator."""
        return self.ask_on(self.admin_socket, **request)

    def ask_on(self, path: Path, **request: Any) -> list[dict[str, Any]]:
        """All lines of the answer to a request on one of the sockets."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LONG)
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                return [json.loads(line) for line in lines]

    def until(self, condition: Callable[[], object], seconds: float = LONG) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"the service ended: {''.join(self.errors)}"
            assert time.monotonic() < deadline, f"it did not happen: {''.join(self.errors)}"
            time.sleep(0.02)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def ready(self) -> Self:
        self.until(self.admin_socket.exists)  # the second of the two
        return self

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(LONG)
        for reader in self._readers:
            reader.join(LONG)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
