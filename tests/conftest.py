"""What the tests share: shipped portraits, galleries in a temporary folder, the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.pipeline.pipeline import FacePipeline
from edgeface.verifier import FaceVerifier

CHECKOUT = Path(__file__).resolve().parent.parent
PORTRAITS = CHECKOUT / "edgeface" / "portraits"
SHARED = Path(os.environ.get("EDGEFACE_SHARED", CHECKOUT.parent / "shared"))


@dataclass(frozen=True)
class Outcome:
    """What a finished command left: exit status, both streams, and stdout as JSON."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


class CommandLine:
    """Runs the real `edgeface` in a process of its own, with a gallery of its own."""

    def __init__(self, folder: Path) -> None:
        self.gallery = folder / "gallery.safetensors"
        self._environment = {
            **os.environ,
            "EDGEFACE_GALLERY": str(self.gallery),
            "HOME": str(folder),
        }

    def __call__(self, *arguments: str | Path) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "edgeface", *map(str, arguments)],
            capture_output=True,
            text=True,
            env=self._environment,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def edgeface(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.fixture(scope="session")
def pipeline() -> FacePipeline:
    return FacePipeline()


@pytest.fixture
def verifier(tmp_path: Path) -> FaceVerifier:
    return FaceVerifier(tmp_path / "gallery.safetensors")


@pytest.fixture(scope="session")
def portrait() -> Any:
    """Reads a shipped portrait by name."""

    def read(name: str) -> np.ndarray:
        return cv2.imread(str(PORTRAITS / f"{name}.jpg"))

    return read


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shipped portraits at several sizes, a picture without a face and a file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    for path in sorted(PORTRAITS.glob("*.jpg")):
        portrait = cv2.imread(str(path))
        for width in (240, 320, 400, 480, 560, 640):
            height = round(portrait.shape[0] * width / portrait.shape[1])
            small = cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(folder / f"{path.stem}-{width}.png"), small)
    cv2.imwrite(str(folder / "grey.png"), np.full((200, 200, 3), 128, np.uint8))
    (folder / "text.jpg").write_text("no picture")
    return folder
