"""Models that do not belong to this version: refused where they lie, tried where they may crash."""

from __future__ import annotations

import hashlib
import io
import json
import random
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeface.errors import ModelError
from edgeface.pipeline.encode import Encoder
from edgeface.pipeline.model_file import (
    DESCRIPTION_NAME,
    SHIPPED,
    default_model_path,
    describe,
    load_model,
    models_folder,
)
from tests.conftest import PORTRAITS, CommandLine
from tests.helpers.memory import measure

PICTURE = PORTRAITS / "obama.jpg"
Change = Callable[[dict[str, Any]], None]


def network() -> bytes:
    return default_model_path().read_bytes()[: load_model().description.network_bytes]


def described(text: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    """The shipped network with another description."""
    buffer = io.BytesIO(network())
    with zipfile.ZipFile(buffer, "a", compression) as archive:
        archive.writestr(DESCRIPTION_NAME, text)
    return buffer.getvalue()


def shipped_description() -> dict[str, Any]:
    with zipfile.ZipFile(default_model_path()) as archive:
        found: dict[str, Any] = json.loads(archive.read(DESCRIPTION_NAME))
    return found


def table(**of_each: Any) -> Change:
    """Change every point of the score table."""

    def change(description: dict[str, Any]) -> None:
        for point in description["scores"]["points"]:
            point.update(of_each)

    return change


def swap_scores(description: dict[str, Any]) -> None:
    points = description["scores"]["points"]
    points[1]["score"], points[3]["score"] = points[3]["score"], points[1]["score"]


def lower_scores(description: dict[str, Any]) -> None:
    for point in description["scores"]["points"]:
        point["score"] -= 1


def lenient_scores(description: dict[str, Any]) -> None:
    """Positive, monotonic, and reached by a third of strangers."""
    for number, point in enumerate(description["scores"]["points"]):
        point["score"] = 0.08 + 0.001 * number


def no_far(description: dict[str, Any]) -> None:
    description["scores"]["points"][-1]["far"] = 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lower_scores, "lets everybody in"),
        (lenient_scores, "of different people reach"),
        (table(score=-1.0), "lets everybody in"),
        (table(far=0.001), "smaller false accept rate"),
        (swap_scores, "smaller false accept rate must have a higher score"),
        (no_far, "between 0 and 1"),
        (table(far=2.0), "between 0 and 1"),
        (lambda d: d["crowd"].update(strength=7.0), "strength"),
        (lambda d: d["input"].update(scale=0.0), "scale"),
        (lambda d: d["input"].update(size=1 << 40), "1024"),
        (lambda d: d["embedding"].update(size=1 << 40), "8192"),
        (lambda d: d["alignment"].update(mouth=[9e9, 0.5]), "landmark"),
    ],
)
def test_a_description_that_cannot_be_meant_is_refused_on_opening(
    tmp_path: Path, edgeface: CommandLine, change: Change, sentence: str
) -> None:
    description, model = shipped_description(), tmp_path / "model.tflite"
    change(description)
    model.write_bytes(described(json.dumps(description).encode()))
    done = edgeface("encode", PICTURE, "--model", model)
    assert done.status == 2
    assert sentence in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity", '"0.5"'])
def test_a_score_that_is_no_finite_number_is_refused(
    tmp_path: Path, edgeface: CommandLine, number: str
) -> None:
    description, model = shipped_description(), tmp_path / "model.tflite"
    table(score="here")(description)
    model.write_bytes(described(json.dumps(description).replace('"here"', number).encode()))
    done = edgeface("encode", PICTURE, "--model", model)
    assert (done.status, len(done.stderr.splitlines())) == (2, 1)
    assert "description" in done.stderr


def test_a_huge_description_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    description = json.dumps({**shipped_description(), "name": "x" * (200 << 20)}).encode()
    model = tmp_path / "model.tflite"
    model.write_bytes(described(description, zipfile.ZIP_DEFLATED))
    done = measure("encode", PICTURE, "--model", model)
    assert done.status == 2
    assert "larger than 8 MB" in done.stderr and len(done.stderr.splitlines()) == 1
    assert done.peak_mb < 150


def test_an_archive_with_a_huge_index_is_not_read(tmp_path: Path) -> None:
    buffer = io.BytesIO(network()[:1000])
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(DESCRIPTION_NAME, b"{}")
        for number in range(60_000):
            archive.writestr(f"{number:0200d}", b"")
    model = tmp_path / "model.tflite"
    model.write_bytes(buffer.getvalue())
    with pytest.raises(ModelError, match="carries no description"):
        load_model(model)


def malformed(seed: int) -> bytes:
    """A network some of whose offsets lead nowhere; several end tflite-runtime with SIGSEGV."""
    chance = random.Random(seed)
    data = bytearray((models_folder() / "blazeface-short-range.tflite").read_bytes())
    for _ in range(3):
        at = (
            chance.randrange(8, len(data))
            if chance.random() < 0.2
            else len(data) - chance.randrange(4, 30000)
        )
        data[at : at + 4] = chance.choice(
            (b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", chance.randbytes(4), b"\x10\x27\0\0")
        )
    return bytes(data)


def enormous() -> bytes:
    """A network that wants a picture of 20,000 x 20,000, 4.8 GB."""
    whole = (models_folder() / "blazeface-short-range.tflite").read_bytes()
    size = struct.pack("<5i", 4, 1, 128, 128, 3)
    assert whole.count(size) == 1
    return whole.replace(size, struct.pack("<5i", 4, 1, 20_000, 20_000, 3))


@pytest.mark.parametrize("seed", [2, 3, 6, 8, None])
def test_a_malformed_network_ends_in_a_sentence_and_not_in_a_crash(
    tmp_path: Path, edgeface: CommandLine, seed: int | None
) -> None:
    data = enormous() if seed is None else malformed(seed)
    model = tmp_path / "model.tflite"
    model.write_bytes(describe(data, load_model().description))
    done = edgeface("encode", PICTURE, "--model", model)
    assert (done.status, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert str(model) in done.stderr


def test_an_unknown_model_is_tried_once_in_a_process_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.tflite"
    renamed = describe(network(), msgspec.structs.replace(load_model().description, name="other"))
    other.write_bytes(renamed)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("EDGEFACE_GALLERY_KEY", "00" * 32)
    real, tried = subprocess.run, []

    def run(command: list[str], **options: Any) -> Any:
        tried.append(options["env"])
        return real(command, **options)

    monkeypatch.setattr("edgeface.pipeline.trial.subprocess.run", run)
    Encoder(load_model(other))
    Encoder(load_model(other))
    assert len(tried) == 1
    assert "EDGEFACE_GALLERY_KEY" not in tried[0]
    assert [path.name[:64] for path in (tmp_path / "state/tried-models").iterdir()] == [
        hashlib.sha256(renamed).hexdigest()
    ]
    Encoder(load_model())
    assert len(tried) == 1  # the shipped one is known by its hash


def test_the_shipped_model_is_the_one_that_is_known() -> None:
    digest = hashlib.sha256(default_model_path().read_bytes()).hexdigest()
    assert SHIPPED[digest] == "facenet-int8"
    assert load_model().shipped == "facenet-int8"


def test_doctor_names_the_shipped_model_by_its_hash_and_any_other_as_not_shipped(
    tmp_path: Path, edgeface: CommandLine
) -> None:
    def model_check(*options: str | Path) -> str:
        checks = edgeface("doctor", "--json", *options).json["checks"]
        return next(str(check["detail"]) for check in checks if check["name"] == "model")

    settings, other = tmp_path / "edgeface.toml", tmp_path / "facenet-int8.tflite"
    settings.write_text(f'[source]\nspec = "{PICTURE}"\n')
    digest = hashlib.sha256(default_model_path().read_bytes()).hexdigest()
    assert model_check("--config", settings).startswith(f"shipped: facenet-int8, sha256 {digest}")
    description = shipped_description()
    description["scores"]["points"][2]["score"] -= 0.05
    other.write_bytes(described(json.dumps(description).encode()))
    settings.write_text(f'[source]\nspec = "{PICTURE}"\n[recognition]\nmodel = "{other}"\n')
    assert model_check("--config", settings).startswith("not shipped: facenet-int8.tflite, sha256")
