"""Tries a model on a TFLite runtime in a separate process: whether it loads, and how fast it is.

Takes in a model file, aligned crops and a Python environment, hands on a `Trial`. The other process
imports only the runtime package, so that tflite-runtime, which needs an old NumPy, can be tried
from an environment with LiteRT, and a runtime that crashes ends only its own process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import numpy as np

from edgeface.pipeline.runtime import RUNTIMES
from edgeface_tools.people.embed import Embeddings
from edgeface_tools.people.faces import Crops

_WORKER = """
import json, os, sys, time
from importlib.metadata import version
import numpy as np
from edgeface.pipeline.encode import Encoder
from edgeface.errors import EdgeFaceError
from edgeface.pipeline.model_file import load_model
from edgeface.pipeline.runtime import RUNTIMES
name, model, crops, rows, runs = sys.argv[1:]
def held():
    # Not getrusage, whose peak a process inherits from the larger one that started it.
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return 0
print(json.dumps({"version": version(RUNTIMES[name].replace("_", "-"))}), flush=True)
try:
    crops = np.load(crops)
    before = held()
    encoder = Encoder(load_model(model))
    encoder.encode(crops[0])
    memory = (held() - before) / 1e6
    times = []
    for number in range(int(runs) + 2):
        started = time.perf_counter()
        encoder.encode(crops[number % len(crops)])
        times.append(1e3 * (time.perf_counter() - started))
    single = Encoder(load_model(model), 1)
    single.encode(crops[0])
    spent = []
    for number in range(max(1, int(runs) // 3)):
        started = time.process_time()
        single.encode(crops[number % len(crops)])
        spent.append(1e3 * (time.process_time() - started))
    np.save(rows, np.stack([encoder.encode(crop) for crop in crops]))
    print(json.dumps({"p50": float(np.median(times[2:])),
                      "p95": float(np.percentile(times[2:], 95)),
                      "cpu": float(np.median(spent)), "memory": memory}))
except EdgeFaceError as error:
    print(json.dumps({"error": str(error)}))
"""
_ASK = """
import json
from edgeface.pipeline.runtime import installed_runtimes
print(json.dumps(installed_runtimes()))
"""


class Trial(msgspec.Struct, frozen=True):
    """A model on one runtime."""

    runtime: str
    version: str
    loads: bool
    why_not: str | None = None
    p50_ms: float | None = None
    """Of encoding one crop, including the input table, on the runtime's default threads."""
    p95_ms: float | None = None
    cpu_ms: float | None = None
    """Processor time of the same on one thread; other work on the machine changes it little."""
    memory_mb: float | None = None
    """What the process holds more once it loaded the model and encoded a face; 0 if not known."""


def runtimes_of(python: Path) -> list[str]:
    """The runtimes in a Python environment that has EdgeFace; empty where EdgeFace is missing."""
    done = _run([str(python), "-c", _ASK], {})
    try:
        found = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return []
    return [name for name in found if name in RUNTIMES]


def try_out(
    model: Path, crops: Crops, runtime: str, python: Path | None = None, runs: int = 30
) -> tuple[Trial, Embeddings | None]:
    """Load, time and encode `crops` with a runtime; its embeddings are None when it cannot."""
    with tempfile.TemporaryDirectory() as scratch:
        pictures, rows = Path(scratch) / "crops.npy", Path(scratch) / "rows.npy"
        np.save(pictures, crops)
        words = [str(python or sys.executable), "-c", _WORKER, runtime, str(model)]
        done = _run([*words, str(pictures), str(rows), str(runs)], {"EDGEFACE_RUNTIME": runtime})
        answers: dict[str, str | float] = {}
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                answers |= json.loads(line)
        version = str(answers.get("version", "unknown"))
        if "p50" not in answers:
            crashed = f"the process ended with {done.returncode}"
            return Trial(runtime, version, False, str(answers.get("error", crashed))), None
        times = (round(float(answers[key]), 2) for key in ("p50", "p95", "cpu", "memory"))
        return Trial(runtime, version, True, None, *times), np.load(rows)


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (a Python of the user's choice, our own script)
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
