"""Bench: what the line costs on this machine, in figures that a reader can repeat.

Takes in a model, hands on plain numbers: latency by station, throughput, cold start, memory and
gallery search. It drives the real line on frames made from the shipped portraits and changes
nothing.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.demo import PORTRAITS
from edgeface.detect import Detector
from edgeface.gallery import Gallery
from edgeface.line import FaceLine, Timings
from edgeface.model import Model, load_model
from edgeface.pictures import Picture, read_picture
from edgeface.runtime import default_threads

FRAMES = {"640x480": (640, 480), "1280x720": (1280, 720)}
FACES = (0, 1, 3)
PEOPLE = (1, 100, 1_000, 10_000)
TEMPLATES_EACH = 3
MANY_TEMPLATES = 1_000_000
_STATIONS = ("detect", "align", "encode", "match", "total")


@dataclass(frozen=True)
class Latency:
    """Percentiles over the runs, in milliseconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class GalleryCost:
    """A gallery's size, the time to open it until the first answer, and the time of a search."""

    people: int
    templates: int
    file_mb: float
    open_ms: float
    search_ms: Latency


def percentiles(milliseconds: list[float]) -> Latency:
    """p50, p95 and p99 of a list of milliseconds."""
    p50, p95, p99 = np.percentile(milliseconds, (50, 95, 99)).round(3).tolist()
    return Latency(p50, p95, p99)


def make_frame(size: tuple[int, int], faces: int) -> Picture:
    """A frame of `size` (width, height) with `faces` people side by side, faces a fifth as wide as
    the frame is high."""
    width, height = size
    frame = np.full((height, width, 3), (120, 130, 125), np.uint8)
    for number in range(faces):
        portrait = read_picture(PORTRAITS / ("obama.jpg", "collins.jpg", "biden.jpg")[number])
        face_width, (x, y) = ((267, (492, 280)), (103, (224, 124)), (289, (560, 421)))[number]
        scale = height / 4 / face_width
        left, top = width * (number + 0.5) / faces - scale * x, height * 0.4 - scale * y
        box = (width * number // faces, width * (number + 1) // faces)
        shift = np.array([[scale, 0, left], [0, scale, top]])
        pasted = cv2.warpAffine(
            portrait, shift, (width, height), flags=cv2.INTER_AREA, borderValue=(120, 130, 125)
        )
        frame[:, box[0] : box[1]] = pasted[:, box[0] : box[1]]
    return frame


def random_embeddings(model: Model, count: int) -> NDArray[np.float32]:
    """Unit vectors in random directions, shape (count, n)."""
    numbers = model.description.embedding.size
    rows = np.random.default_rng(count).standard_normal((count, numbers), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def write_gallery(path: Path, model: Model, people: int, templates: int) -> None:
    """A gallery file of made-up people with random templates."""
    rows = random_embeddings(model, people * templates).reshape(people, templates, -1)
    with Gallery.changing(path, model) as gallery:
        gallery.add_people({f"person {number}": rows[number] for number in range(people)})


def measure_line(
    model: Model, threads: int, runs: int, progress: Callable[[], None]
) -> dict[str, dict[str, Latency]]:
    """Latency of each station by frame, as the service works: one look, every face decided."""
    line = FaceLine(model, threads)
    detector = Detector(threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gallery.safetensors"
        write_gallery(path, model, 1_000, TEMPLATES_EACH)
        gallery = Gallery.open(path, model)
    results: dict[str, dict[str, Latency]] = {}
    for name, size in FRAMES.items():
        for faces in FACES:
            frame = make_frame(size, faces)
            samples: dict[str, list[float]] = {station: [] for station in _STATIONS}
            for run in range(runs + 3):
                timings = Timings()
                started = time.perf_counter()
                found = detector.detect(frame)
                timings.detect = 1e3 * (time.perf_counter() - started)
                for face in found:
                    subject = line.encode(frame, face, timings)
                    before = time.perf_counter()
                    gallery.search(subject.embedding)
                    timings.match += 1e3 * (time.perf_counter() - before)
                total = 1e3 * (time.perf_counter() - started)
                if run >= 3:  # the first runs warm caches
                    for station in _STATIONS[:-1]:
                        samples[station].append(getattr(timings, station))
                    samples["total"].append(total)
                if len(found) != faces:
                    raise AssertionError(f"{len(found)} faces found in a frame of {faces}")
            results[f"{name}, {faces} faces"] = {
                station: percentiles(values) for station, values in samples.items()
            }
            progress()
    return results


def measure_gallery(model: Model, people: int, templates: int, runs: int) -> GalleryCost:
    """The cost of a gallery file with so many people and templates each."""
    (probe,) = random_embeddings(model, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gallery.safetensors"
        write_gallery(path, model, people, templates)
        started = time.perf_counter()
        gallery = Gallery.open(path, model)
        gallery.search(probe)
        opened = 1e3 * (time.perf_counter() - started)
        samples = []
        for _ in range(runs):
            started = time.perf_counter()
            gallery.search(probe)
            samples.append(1e3 * (time.perf_counter() - started))
        megabytes = path.stat().st_size / 1e6
    return GalleryCost(
        people, people * templates, round(megabytes, 3), round(opened, 2), percentiles(samples)
    )


_COLD = """
import sys, time
started = time.perf_counter()
from edgeface.verifier import FaceVerifier
imported = time.perf_counter()
verifier = FaceVerifier(sys.argv[1], sys.argv[2])
verifier.line
loaded = time.perf_counter()
verifier.verify("a", sys.argv[3])
done = time.perf_counter()
print(1e3 * (imported - started), 1e3 * (loaded - imported), 1e3 * (done - loaded))
"""


def measure_cold_start(model: Model, runs: int) -> dict[str, Latency]:
    """From process start to the first decision, each time in a new process, in milliseconds."""
    parts = ("process", "import", "load", "first_decision")
    samples: dict[str, list[float]] = {part: [] for part in parts}
    with tempfile.TemporaryDirectory() as folder:
        gallery = str(Path(folder) / "gallery.safetensors")
        picture = PORTRAITS / "collins.jpg"
        from edgeface.verifier import FaceVerifier

        FaceVerifier(gallery, model.path).enroll("a", [picture])
        for _ in range(runs):
            started = time.perf_counter()
            out = subprocess.run(  # noqa: S603 (our own interpreter, our own script)
                [sys.executable, "-c", _COLD, gallery, str(model.path), str(picture)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            samples["process"].append(1e3 * (time.perf_counter() - started))
            for part, value in zip(parts[1:], out.split(), strict=True):
                samples[part].append(float(value))
    return {part: percentiles(values) for part, values in samples.items()}


def peak_memory_mb() -> float:
    """The most memory this process has held at once, in megabytes."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def temperature() -> float | None:
    """The processor's temperature in degrees Celsius, where the kernel tells it."""
    try:
        return int(Path("/sys/class/thermal/thermal_zone0/temp").read_text()) / 1000
    except (OSError, ValueError):
        return None


def bench(
    model_path: Path | None, runs: int, progress: Callable[[], None] = lambda: None
) -> dict[str, object]:
    """Everything `edgeface bench` measures, by key."""
    model = load_model(model_path)
    threads = default_threads()
    latency = {
        str(count): measure_line(model, count, runs, progress) for count in sorted({1, threads})
    }
    one_face = latency[str(threads)]["640x480, 1 faces"]["total"]
    return {
        "model": model.description.name,
        "runtime": FaceLine(model).runtime,
        "threads": threads,
        "latency_ms": latency,
        "frames_per_second": round(1e3 / one_face.p50, 1),
        "cold_start_ms": measure_cold_start(model, max(3, runs // 20)),
        "gallery": [measure_gallery(model, people, TEMPLATES_EACH, runs) for people in PEOPLE],
        "peak_memory_mb": peak_memory_mb(),
        "temperature_c": temperature(),
    }
