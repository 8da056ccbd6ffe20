"""The pinned SFace: template, shipped model, and a cached file that is not the pinned one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeface.errors import ConfigError
from edgeface.pipeline.model_file import load_model, models_folder
from edgeface_tools.cli.convert_model import main as convert_model
from edgeface_tools.source.fetch import cache_folder, sha256_of
from edgeface_tools.source.sface import FIVE_POINTS, ONNX_NAME, ONNX_SHA256, fetch_sface
from tests.helpers.command import call

# As published with the 112 x 112 alignment of ArcFace, in pixels whose centres are whole numbers.
PUBLISHED = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)


def test_the_template_is_the_published_one() -> None:
    wanted = (np.array(PUBLISHED) + 0.5) / 112
    assert FIVE_POINTS.of_mesh
    np.testing.assert_allclose(FIVE_POINTS.places, wanted, atol=1e-4)


def test_a_cached_file_with_other_bytes_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sface-3013cfdcfdc8"
    folder.mkdir()
    (folder / ONNX_NAME).write_bytes(b"something else")
    with pytest.raises(ConfigError, match=r"is damaged; delete .*sface-3013cfdcfdc8 and try again"):
        fetch_sface(tmp_path)


def test_the_card_names_the_shipped_files() -> None:
    card = (models_folder() / "sface-int8.md").read_text(encoding="utf-8")
    for name in ("sface-int8.tflite", "sface-observations.json", "sface-population.json"):
        assert sha256_of(models_folder() / name) in card, name
    assert ONNX_SHA256 in card


def test_the_shipped_model_is_small_and_says_what_it_is() -> None:
    model = load_model("sface")
    description = model.description
    assert model.path.stat().st_size < 12_000_000
    assert description.source.sha256 == ONNX_SHA256
    assert description.alignment == FIVE_POINTS
    assert description.scores is not None and description.scores.measured
    assert description.embedding.centre is not None and description.cohort is not None


@pytest.mark.skipif(
    not (cache_folder() / "sface-3013cfdcfdc8").is_dir(),
    reason="the pinned wheel has not been fetched: make models fetches it",
)
def test_a_conversion_of_the_pinned_source_gives_the_shipped_bytes(tmp_path: Path) -> None:
    made = tmp_path / "sface.tflite"
    done = call(convert_model, "sface", "-o", made, "--no-report")  # with the recorded numbers
    assert done.status == 0, done.stderr
    assert made.read_bytes() == load_model("sface").path.read_bytes()
