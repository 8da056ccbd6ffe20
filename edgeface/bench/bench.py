"""Bench: what the pipeline costs on this machine, in reproducible figures.

Takes in a model, hands on plain numbers: latency by station, throughput, cold start, memory and
gallery search. It drives the real pipeline on frames made from the shipped portraits and changes
nothing.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.bench.figures import Latency, percentiles
from edgeface.bench.start import measure_cold_start, measure_load
from edgeface.demo.decisions import PORTRAITS
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.gallery import Gallery
from edgeface.pipeline.detect import Detector
from edgeface.pipeline.model_file import Model, load_model
from edgeface.pipeline.pictures import Picture, read_picture
from edgeface.pipeline.pipeline import FacePipeline, Timings
from edgeface.pipeline.runtime import default_threads
from edgeface.system.thermal import hottest

FRAMES = {"640x480": (640, 480), "1280x720": (1280, 720)}
FACES = (0, 1, 3)
PEOPLE = (1, 100, 1_000, 10_000)
TEMPLATES_EACH = 3
MANY_TEMPLATES = 1_000_000
_FIRMWARE = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
_STATIONS = ("detect", "align", "encode", "match", "total")


@dataclass(frozen=True)
class GalleryCost:
    """A gallery's size, the time from opening it to the first answer, and the time of a search."""

    people: int
    templates: int
    file_mb: float
    open_ms: float
    search_ms: Latency


def make_frame(size: tuple[int, int], faces: int) -> Picture:
    """A frame of `size` (width, height) with `faces` people side by side, each face a fifth as wide
    as the frame is high."""
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
    with GalleryChange.open(path, model) as change:
        change.add_people({f"person {number}": rows[number] for number in range(people)})


def measure_pipeline(
    model: Model, threads: int, runs: int, progress: Callable[[], None]
) -> dict[str, dict[str, Latency]]:
    """Latency of each station by frame, as in the service: one search of the whole frame, and a
    decision for every face."""
    pipeline = FacePipeline(model, threads)
    detector = Detector()
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
                    subject = pipeline.encode(frame, face, timings)
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
    """The cost of a gallery file with `people` people, `templates` templates each."""
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


def measure_sustained(model: Model, threads: int, seconds: float) -> float:
    """Frames per second over `seconds` without a pause: one face at 640x480, detected and encoded
    in every frame."""
    pipeline, detector = FacePipeline(model, threads), Detector()
    frame = make_frame(FRAMES["640x480"], 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gallery.safetensors"
        write_gallery(path, model, 1_000, TEMPLATES_EACH)
        gallery = Gallery.open(path, model)
    frames, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for face in detector.detect(frame):
            gallery.search(pipeline.encode(frame, face).embedding)
        frames += 1
    return round(frames / (time.perf_counter() - started), 1)


def peak_memory_mb() -> float:
    """This process's peak memory, in megabytes."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def resident_memory_mb() -> float:
    """This process's memory now, in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 2**20, 1)


def throttled() -> int | None:
    """A Raspberry Pi's firmware flags: 1 under-voltage, 2 frequency capped, 4 throttled, 8 soft
    temperature limit; the same times 65,536 for "since boot". None on other machines."""
    try:
        return int(_FIRMWARE.read_text(), 16)
    except (OSError, ValueError):
        return None


def measure_memory(model: Model) -> float:
    """Resident memory of the pipeline with one frame, after its networks are open and have run."""
    pipeline = FacePipeline(model)
    frame = make_frame(FRAMES["640x480"], 1)
    pipeline.encode(frame, pipeline.main_face(frame))
    return resident_memory_mb()


def bench(
    model_path: Path | None,
    runs: int,
    progress: Callable[[], None] = lambda: None,
    seconds: float = 10.0,
) -> dict[str, object]:
    """Everything `edgeface bench` measures, by key (docs/bench.md); the sustained run lasts
    `seconds`."""
    model = load_model(model_path)
    threads = default_threads()
    resident = measure_memory(model)  # first, before anything else takes memory
    latency = {
        str(count): measure_pipeline(model, count, runs, progress) for count in sorted({1, threads})
    }
    one_face = latency[str(threads)]["640x480, 1 faces"]["total"]
    return {
        "model": model.description.name,
        "runtime": FacePipeline(model).runtime,
        "threads": threads,
        "latency_ms": latency,
        "frames_per_second": round(1e3 / one_face.p50, 1),
        "sustained_fps": {
            str(count): measure_sustained(model, count, seconds) for count in sorted({1, threads})
        },
        "cold_start_ms": measure_cold_start(model, max(3, runs // 20)),
        "model_load_ms": measure_load(model, max(3, runs // 20)),
        "gallery": [measure_gallery(model, people, TEMPLATES_EACH, runs) for people in PEOPLE],
        "resident_memory_mb": resident,
        "peak_memory_mb": peak_memory_mb(),
        "temperature_c": hottest(),
        "throttled": throttled(),
    }
