"""What the tests share: shipped portraits, galleries in a temporary folder, the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.cli import main
from edgeface.pipeline.pipeline import FacePipeline
from edgeface.verifier import FaceVerifier
from tests.helpers.command import Outcome, call, start
from tests.helpers.images import read_image

CHECKOUT = Path(__file__).resolve().parent.parent
PORTRAITS = CHECKOUT / "edgeface" / "portraits"
SHARED = Path(os.environ.get("EDGEFACE_SHARED", CHECKOUT.parent / "shared"))


# Their tests take a minute or more, so they start first: one left for the end would run alone.
LONGEST = (
    "tools/source/test_facenet.py",
    "bench/test_evaluate.py",
    "tools/cli/test_convert_model.py",
    "tools/cli/test_train_triplet.py",
    "service/test_liveness_at_the_door.py",
    "service/test_run.py",
    "tools/cli/test_fine_tune_script.py",
    "service/test_soak.py",
    "service/test_control.py",
    "tools/source/test_load.py",
    "test_documents.py",
    "bench/test_bench.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Give each of several workers a core: inference threads that wait for each other spin, so
    that workers whose threads wander over the cores take twice the time."""
    worker = getattr(config, "workerinput", None)  # only where xdist started this process
    if worker is None:
        return
    cores = sorted(os.sched_getaffinity(0))
    number, workers = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    os.sched_setaffinity(0, cores[number::workers] or cores[number % len(cores) :][:1])


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are cores: a service under test mostly waits."""
    cores = len(os.sched_getaffinity(0))
    return cores + (cores + 1) // 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = CHECKOUT / "tests"
    order = {tests / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


# `run` takes over the process's signals, and `bench` measures memory and start-up of its process.
OWN_PROCESS = {"bench", "run"}


class CommandLine:
    """The command `edgeface` with a gallery of its own, here where it can be."""

    def __init__(self, folder: Path) -> None:
        self.gallery = folder / "gallery.safetensors"
        self._environment = {
            **os.environ,
            "EDGEFACE_GALLERY": str(self.gallery),
            "HOME": str(folder),
        }

    def __call__(self, *arguments: str | Path) -> Outcome:
        if arguments and arguments[0] in OWN_PROCESS:
            return self.process(*arguments)
        return call(main, *arguments, environment=self._environment)

    def process(self, *arguments: str | Path) -> Outcome:
        """The same in a process of its own."""
        return start("edgeface", *arguments, environment=self._environment)


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
        return read_image(PORTRAITS / f"{name}.jpg")

    return read


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shipped portraits at several sizes, a picture without a face and a file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    for path in sorted(PORTRAITS.glob("*.jpg")):
        portrait = read_image(path)
        for width in (240, 320, 400, 480, 560, 640):
            height = round(portrait.shape[0] * width / portrait.shape[1])
            small = cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(folder / f"{path.stem}-{width}.png"), small)
    cv2.imwrite(str(folder / "grey.png"), np.full((200, 200, 3), 128, np.uint8))
    (folder / "text.jpg").write_text("no picture")
    return folder
