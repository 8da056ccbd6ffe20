"""The shipped model: rebuilt byte for byte, and true to the network that it was made from."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.reference import keras as keras_reference
from edgeface.errors import ConfigError
from edgeface.pipeline.model_file import InputSpec, load_model
from edgeface_tools.convert import TEMPLATE
from edgeface_tools.network.graph import Add
from edgeface_tools.people.faces import Crops, cut_faces, pictures_in, standardize
from edgeface_tools.source.fetch import WEIGHTS_SHA256, Fetched, fetch_facenet, sha256_of
from edgeface_tools.source.keras2 import read_legacy_h5
from edgeface_tools.source.load import load_source
from tests.conftest import CHECKOUT, SHARED
from tests.helpers.interpreters import cosines, run

MODELS = CHECKOUT / "models"
SHIPPED = MODELS / "facenet-int8.tflite"
SPEC = InputSpec(160, "bgr", "per-image")


@pytest.fixture(scope="module")
def facenet() -> Fetched:
    try:
        return fetch_facenet()
    except ConfigError as error:
        pytest.skip(f"FaceNet's weights cannot be fetched: {error}")


@pytest.fixture(scope="module")
def crops(facenet: Fetched, tmp_path_factory: pytest.TempPathFactory) -> Crops:
    """500 faces of LFW View 1 where it is available, else the 116 that calibration uses."""
    archive = SHARED / "data" / "lfw-view1.tar"
    if not archive.is_file():
        return cut_faces(pictures_in(facenet.pictures), TEMPLATE, 160).crops
    folder = tmp_path_factory.mktemp("lfw")
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)  # noqa: S607
    return cut_faces(pictures_in(folder)[::9][:500], TEMPLATE, 160).crops


@pytest.fixture(scope="module")
def by_keras(facenet: Fetched, crops: Crops) -> NDArray[np.float32]:
    rgb = [standardize(crop[..., ::-1], SPEC)[0] for crop in crops]
    return keras_reference.embed(keras_reference.build(facenet.weights), np.stack(rgb))


def inputs(crops: Crops) -> list[NDArray[np.float32]]:
    return [standardize(crop, SPEC)[0] for crop in crops]


def network_of(path: Path) -> bytes:
    return path.read_bytes()[: load_model(path).description.network_bytes]


def test_the_rebuilt_float_network_is_keras_own(
    facenet: Fetched, crops: Crops, by_keras: NDArray[np.float32]
) -> None:
    found = run(load_source(str(facenet.weights)).network, *inputs(crops[:40]))
    np.testing.assert_allclose(found, by_keras[:40], rtol=0, atol=2e-4)


def test_int8_points_where_keras_points(crops: Crops, by_keras: NDArray[np.float32]) -> None:
    similar = cosines(run(network_of(SHIPPED), *inputs(crops)), by_keras)
    assert np.median(similar) >= 0.9985
    assert np.percentile(similar, 1) >= 0.995


def test_every_lambda_of_the_real_file_is_recognized(facenet: Fetched) -> None:
    scales = [
        node.operation.scale
        for node in read_legacy_h5(facenet.weights).nodes
        if isinstance(node.operation, Add)
    ]
    assert scales == [0.17] * 5 + [0.1] * 10 + [0.2] * 5 + [1.0]


def test_two_conversions_of_the_pinned_source_give_the_shipped_bytes(
    facenet: Fetched, tmp_path: Path
) -> None:
    """Separate processes, so that no order of a hash table can hide; with time and memory."""
    recorded = (
        *("--observations", MODELS / "facenet-observations.json"),
        *("--population", MODELS / "facenet-population.json"),
    )
    for attempt, options in (("first.tflite", recorded), ("default.tflite", ())):
        started = time.monotonic()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "edgeface_tools.cli.convert_model", "facenet"),
                *("-o", tmp_path / attempt, "--no-report", *options),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert time.monotonic() - started < 300
        assert (tmp_path / attempt).read_bytes() == SHIPPED.read_bytes()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4 * 1024**2  # KiB


def test_the_shipped_model_is_small_and_says_what_it_is() -> None:
    description = load_model(SHIPPED).description
    assert SHIPPED.stat().st_size < 24_000_000
    assert description.source.sha256 == WEIGHTS_SHA256
    assert description.minimum_runtime == "1.14.0"
    assert description.embedding.centre is not None
    assert len(description.embedding.centre) == description.embedding.size == 128
    assert description.scores is not None
    assert [p.far for p in description.scores.points] == [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]


def test_the_card_names_the_shipped_files() -> None:
    card = (MODELS / "facenet-int8.md").read_text(encoding="utf-8")
    for name in ("facenet-int8.tflite", "facenet-observations.json", "facenet-population.json"):
        assert sha256_of(MODELS / name) in card, name
    assert WEIGHTS_SHA256 in card
