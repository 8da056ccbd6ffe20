"""A long run: memory, threads and descriptors stay where they are, the watchdog is always fed.

3,000 frames by default; `make soak` asks for 200,000.
"""

from __future__ import annotations

import os
import socket
import statistics
import threading
import time
from itertools import pairwise
from pathlib import Path

import cv2

from tests.helpers.images import read_image
from tests.helpers.service import PORTRAITS, Running, portrait_video

FRAMES = int(os.environ.get("EDGEFACE_SOAK_FRAMES", "3000"))
WARM_UP = min(5000, FRAMES * 2 // 5)
WATCHDOG = 30.0  # seconds, as in the unit


def small_video(path: Path) -> Path:
    """A known and an unknown person, then nobody for a while, in 480 x 270."""
    large = cv2.VideoCapture(str(portrait_video(path.with_suffix(".big.avi"), "obama2", "collins")))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (480, 270))
    while True:
        found, frame = large.read()
        if not found:
            break
        writer.write(cv2.resize(frame, (480, 270)))
    nobody = cv2.resize(read_image(PORTRAITS / "obama.jpg"), (480, 270)) // 9
    for _ in range(100):
        writer.write(nobody)
    writer.release()
    return path


def state(pid: int) -> tuple[float, int, int]:
    """Resident MB, threads, descriptors."""
    process = Path(f"/proc/{pid}")
    pages = int((process / "statm").read_text().split()[1])
    threads = len(list((process / "task").iterdir()))
    return (
        pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        threads,
        len(list((process / "fd").iterdir())),
    )


def at_rest(pid: int) -> tuple[float, int, int]:
    """The median of several moments.

    In one of them an asker's connection may still be closing (one descriptor too many), or the
    video starts over, and the capture thread with it (one thread too few).
    """
    moments = []
    for _ in range(9):
        moments.append(state(pid))
        time.sleep(0.13)
    return tuple(map(statistics.median, zip(*moments, strict=True)))


def test_nothing_grows_and_the_watchdog_is_never_missed(tmp_path: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    fed: list[float] = []

    def listen() -> None:
        while True:
            if manager.recv(300) == b"WATCHDOG=1":
                fed.append(time.monotonic())

    threading.Thread(target=listen, daemon=True).start()
    video = small_video(tmp_path / "small.avi")
    settings = (
        f'[source]\nspec = "{video}"\nloop = true\n'
        '[recognition]\nsmallest_face = 40\ncooldown = "1 s"\n'
        f'[snapshots]\nfolder = "{tmp_path / "shots"}"\nsize = "1 MB"\n'
    )
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": str(int(WATCHDOG * 1e6)),
    }
    started = time.monotonic()
    with Running(tmp_path, settings, **environment).ready() as service:
        assert service.command("enroll", "barack", str(PORTRAITS / "obama.jpg")).returncode == 0

        def frames() -> int:
            return int(service.ask(command="status")[0]["frames"])

        while frames() < WARM_UP:
            time.sleep(0.2)
        before = at_rest(service.process.pid)
        peak = before
        while (done := frames()) < FRAMES:
            peak = tuple(map(max, peak, state(service.process.pid)))  # type: ignore[assignment]
            time.sleep(0.5)
        after = at_rest(service.process.pid)
        assert service.stop() == 0
    gaps = [later - sooner for sooner, later in pairwise([started, *fed])]
    print(f"{done} frames, {len(service.events)} events, before {before}, after {after}, "
          f"peak {peak}, longest gap {max(gaps):.2f} s")  # fmt: skip
    assert after[0] - before[0] < 5
    assert after[1] <= before[1]
    assert after[2] <= before[2]
    assert max(gaps) < WATCHDOG
    assert service.of("recognized")
    assert service.of("unknown")
