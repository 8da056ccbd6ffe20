"""Fine-tuning: what it refuses, what it promises, and that being killed changes nothing."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file

from edgeface.errors import ConfigError
from edgeface_tools.cli import train_triplet as train_cli
from edgeface_tools.network.graph import Graph, Node, Scale
from edgeface_tools.network.split import cut, default_waist, joined, waists
from edgeface_tools.network.to_keras import keras_file
from edgeface_tools.network.to_tflite import float_tflite
from edgeface_tools.source.keras3 import read_keras
from edgeface_tools.train.batches import Pool, batches, steps_per_epoch
from edgeface_tools.train.camera import Camera, imitate
from edgeface_tools.train.finetune import Plan, Result, fine_tune, input_of, read_base
from edgeface_tools.train.head import Loss, Step
from edgeface_tools.train.learning_curves import as_svg
from edgeface_tools.train.loop import Epoch, Schedule
from edgeface_tools.train.validation import separation
from tests.conftest import PORTRAITS
from tests.helpers.images import read_image
from tests.helpers.interpreters import run
from tests.helpers.networks import small_facenet

NIGHT = Camera(grey=True, face_width=40, gamma=0.5, noise=8)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_facenet().save(tmp_path_factory.mktemp("source") / "small.h5")


@pytest.fixture(scope="module")
def base(source: Path) -> Graph:
    return read_base(str(source))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five made-up people: three of the portraits, and two of them mirrored and darkened."""
    folder = tmp_path_factory.mktemp("people")
    for path in sorted(PORTRAITS.glob("*.jpg")):
        portrait = read_image(path)
        for width in (200, 260, 320, 380):
            height = round(portrait.shape[0] * width / portrait.shape[1])
            small = cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA)
            looks = {"": small, "-other": (small[:, ::-1] * 0.5).astype(np.uint8)}
            for kind, look in looks.items():
                person = path.stem.rstrip("0123456789") + kind
                if person == "obama-other":
                    continue
                (folder / person).mkdir(exist_ok=True)
                cv2.imwrite(str(folder / person / f"{path.stem}-{width}.png"), look)
    return folder


@dataclass
class Silent:
    """Watches a training without showing it; stops it after so many steps."""

    steps_left: float = math.inf
    said: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        yield lambda: None

    def step(self, step: Step, done: int, steps: int) -> None:
        self.steps_left -= 1

    def epochs(self, epochs: list[Epoch], best: int, far: float) -> None:
        pass

    def stopped(self) -> bool:
        return self.steps_left <= 0


def plan(**schedule: Any) -> Plan:
    settings = {"epochs": 3, "patience": 3, "people": 2, "pictures": 4, "rate": 3e-3, **schedule}
    return Plan(NIGHT, Loss(), Schedule(**settings), copies=2, held_out=0.4)


def train(base: Graph, people: Path, work: Path, what: Plan, watch: Silent) -> Result:
    return fine_tune(base, people, None, what, work, 1e9, watch)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    with pytest.raises(SystemExit) as stop:
        train_cli.main([*map(str, arguments)])
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


# --- the steps ---


def test_a_network_is_split_and_joined_without_a_change(base: Graph) -> None:
    picture = np.random.default_rng(0).normal(size=(24, 24, 3)).astype(np.float32)
    whole = run(float_tflite(base), picture)
    for waist in waists(base):
        before, after = cut(base, waist)
        between = run(float_tflite(before), picture)[0]
        np.testing.assert_allclose(run(float_tflite(after), between), whole, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(run(float_tflite(joined(before, after)), picture), whole)
    assert default_waist(base) == "pool"  # from here on the picture keeps its size


def test_keras_computes_the_network_and_convert_model_reads_it_back(
    base: Graph, tmp_path: Path
) -> None:
    path = tmp_path / "small.keras"
    path.write_bytes(keras_file(base))
    again = read_keras(path)
    pictures = np.random.default_rng(0).normal(size=(4, 24, 24, 3)).astype(np.float32)
    wanted = run(float_tflite(base), *pictures)
    found = run(float_tflite(again), *pictures)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    import keras

    model = keras.models.load_model(path, safe_mode=True)  # no code in the file
    np.testing.assert_allclose(model.predict(pictures, verbose=0), wanted, rtol=1e-4, atol=1e-4)
    assert not any("Lambda" in type(layer).__name__ for layer in model.layers)


def test_a_night_camera_is_grey_dark_and_coarse(portrait: Callable[[str], np.ndarray]) -> None:
    small = cv2.resize(portrait("collins"), (160, 160), interpolation=cv2.INTER_AREA)
    crop = np.asarray(small, np.uint8)
    night = imitate(crop, NIGHT, np.random.default_rng(1))
    assert night.shape == crop.shape
    assert (night[..., 0] == night[..., 1]).all()
    assert (night[..., 1] == night[..., 2]).all()
    assert night.mean() < 0.8 * crop.mean()
    again = imitate(crop, NIGHT, np.random.default_rng(1))
    np.testing.assert_array_equal(night, again)
    assert (imitate(crop, NIGHT, np.random.default_rng(2)) != night).any()
    flat = np.full((160, 160, 3), 100, np.uint8)
    np.testing.assert_array_equal(imitate(flat, Camera(), np.random.default_rng(3)), flat)
    grain = imitate(flat, Camera(noise=10, grey=True), np.random.default_rng(4))
    assert 7.5 <= grain.std() <= 12.5  # 10, give or take a fifth


def test_everybody_has_a_turn_with_different_pictures_first() -> None:
    person = np.repeat(np.arange(5, dtype=np.int32), 6)
    picture = np.repeat(np.arange(15, dtype=np.int32), 2)  # three of each person, two rows each
    pool = Pool(person, picture)
    drawn = list(batches(pool, people=2, pictures=3, seed=7, epoch=0))
    assert len(drawn) == steps_per_epoch(pool, 2, 3) == 5
    for rows in drawn:
        assert len(set(rows.tolist())) == 6
        assert len(set(person[rows].tolist())) == 2
        assert len(set(picture[rows].tolist())) == 6
    turns = np.bincount([owner for rows in drawn for owner in set(person[rows].tolist())])
    assert turns.tolist() == [2, 2, 2, 2, 2]
    late = list(batches(pool, people=2, pictures=3, seed=7, epoch=0, skip=3))
    np.testing.assert_array_equal(late, drawn[3:])
    other = list(batches(pool, people=2, pictures=3, seed=7, epoch=1))
    assert any((a != b).any() for a, b in zip(drawn, other, strict=True))


def test_pairs_of_one_picture_are_not_counted() -> None:
    """Person 0: two pictures, one of them twice; person 1: one picture, nearest to the first."""
    encodings = np.array([[1, 0], [1, 0], [0, 1], [0.8, 0.6]], np.float32)
    pool = Pool(np.array([0, 0, 0, 1], np.int32), np.array([0, 0, 1, 2], np.int32))
    found = separation(encodings, pool, "it")
    assert (found.genuine, found.impostor) == (2, 3)
    assert found.tar == 0.0  # both genuine scores are 0; the middle of the impostors' is 0.8
    assert found.far == 0.5  # three pairs can show no less


def test_the_curves_show_every_epoch() -> None:
    epochs = [Epoch(0, math.nan, math.nan, 0.5, 0.9)]
    epochs += [Epoch(n, 10 / n, 0.3, 0.5 + n / 20, 0.9) for n in range(1, 6)]
    root = ElementTree.fromstring(as_svg(epochs, 1e-3, 5))  # noqa: S314 (our own text)
    lines = [e.attrib["points"].split() for e in root.iter() if e.tag.endswith("polyline")]
    assert [len(points) for points in lines] == [5, 6, 6, 2]  # the last marks the saved epoch
    assert [points[-1].split(",")[0] for points in lines[:3]] == [lines[3][0].split(",")[0]] * 3


# --- promises ---


def test_too_few_are_refused_by_name(
    source: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crowd = tmp_path / "crowd"
    pictures = sorted((people / "collins").iterdir())
    for name, count in (("ada", 2), ("bob", 1)):
        (crowd / name).mkdir(parents=True)
        for picture in pictures[:count]:
            (crowd / name / picture.name).write_bytes(picture.read_bytes())
    output = tmp_path / "out.keras"
    told = refused(capsys, source, crowd, "-o", output)
    assert "bob" in told
    assert "ada" not in told
    (crowd / "bob" / "second.png").write_bytes(
        cv2.imencode(".png", np.zeros((9, 9, 3)))[1].tobytes()
    )
    told = refused(capsys, source, crowd, "-o", output)
    assert "pictures with a face" in told
    assert "bob" in told
    for left in (crowd / "bob").iterdir():
        left.unlink()
    assert "only ada" in refused(capsys, source, crowd, "-o", output)
    assert "there is no folder" in refused(capsys, source, tmp_path / "no", "-o", output)
    assert "there is no file" in refused(capsys, tmp_path / "no.h5", people, "-o", output)
    assert ".keras" in refused(capsys, source, people, "-o", tmp_path / "out.tflite")
    assert "--margin" in refused(capsys, source, people, "-o", output, "--margin", "0")
    told = refused(capsys, source, people, "-o", output, "--freeze-through", "left")
    assert "cannot be split after 'left'" in told
    assert not output.exists()


def test_few_people_to_validate_on_give_a_warning(
    base: Graph, people: Path, tmp_path: Path
) -> None:
    watch = Silent(steps_left=0)
    train(base, people, tmp_path / "work", plan(), watch)
    assert any("2 people are too few for a reliable" in sentence for sentence in watch.said)


def test_a_worse_network_is_never_handed_on(base: Graph, people: Path, tmp_path: Path) -> None:
    """A learning rate that wrecks it; whatever comes out must be better than the base, or None."""
    result = train(base, people, tmp_path / "work", plan(rate=10.0), Silent())
    epochs = result.outcome.epochs
    better = [epoch.number for epoch in epochs[1:] if epoch.tar > epochs[0].tar]
    assert (result.outcome.best == 0) == (not better)
    assert (result.network is None) == (result.outcome.mix is None)
    if better:
        assert epochs[result.outcome.best].tar == max(epoch.tar for epoch in epochs)
    if result.outcome.mix is not None:
        assert result.outcome.mix.tar > epochs[0].tar


def test_stopping_between_steps_changes_nothing(base: Graph, people: Path, tmp_path: Path) -> None:
    whole = train(base, people, tmp_path / "whole", plan(), Silent())
    assert whole.outcome.finished
    for stop in (2, 1, 3):  # twice in the first epoch, then across its end
        part = train(base, people, tmp_path / "parts", plan(), Silent(stop))
        assert not part.outcome.finished
        assert part.network is None
    parts = train(base, people, tmp_path / "parts", plan(), Silent())
    assert [e.tar for e in parts.outcome.epochs] == [e.tar for e in whole.outcome.epochs]
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


def test_kill_in_the_middle_of_an_epoch_changes_nothing(
    source: Path, people: Path, tmp_path: Path
) -> None:
    def command(name: str) -> list[str]:
        settings = ["--copies", "20", "--epochs", "1", "--batch-people", "2", "--seed", "5"]
        output = str(tmp_path / f"{name}.keras")
        start = [sys.executable, "-m", "edgeface_tools.cli.train_triplet", str(source), str(people)]
        return [*start, "-o", output, *settings, "--checkpoint-seconds", "0", "--json"]

    checkpoint = tmp_path / "killed.keras.training" / "checkpoint.safetensors"
    with subprocess.Popen(
        command("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as running:
        deadline = time.monotonic() + 120
        while not checkpoint.exists() and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(running.pid, signal.SIGKILL)
        _, told = running.communicate()
    assert b"epoch 1" not in told  # it was not done yet
    left = load_file(checkpoint)
    assert len(left["steps"]) > 0
    for name in ("killed", "whole"):
        done = subprocess.run(command(name), capture_output=True, check=False, timeout=300)
        assert done.returncode in (0, 1), done.stderr
        told_json = json.loads(done.stdout)
        assert (told_json["written"] is None) == (done.returncode == 1)
    assert_same_weights(tmp_path / "whole.keras.training", tmp_path / "killed.keras.training")
    assert len(load_file(checkpoint)["epochs"]) == 2


def assert_same_weights(one: Path, other: Path) -> None:
    """The last checkpoints hold the same weights, moments of Adam and measurements."""
    first, second = (load_file(work / "checkpoint.safetensors") for work in (one, other))
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_allclose(second[name], array, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_base_is_known_by_content_and_its_pixels_by_what_is_said(tmp_path: Path) -> None:
    odd = small_facenet().save(tmp_path / "named.keras")  # an HDF5 file in spite of its name
    base = read_base(str(odd))
    assert input_of(base).normalization == "per-image"
    said = input_of(base, colour="bgr", normalization="raw")
    assert (said.colour, said.offset, said.scale, said.size) == ("bgr", 0, 1, base.input_shape[0])
    scaled = replace(
        base,
        nodes=(
            Node("scaled", Scale(1 / 127.5, -1.0), (base.input_name,)),
            *(
                replace(n, inputs=tuple("scaled" if i == base.input_name else i for i in n.inputs))
                for n in base.nodes
            ),
        ),
    )
    with pytest.raises(ConfigError, match="scales its pixels itself"):
        input_of(scaled)
    assert input_of(scaled, normalization="raw").scale == 1
