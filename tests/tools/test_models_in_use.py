"""Converted networks of other sizes in the runtime, and files that others made."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.reference import openface
from edgeface.decide import threshold_for_far
from edgeface.pipeline.model_file import load_model
from edgeface_tools.source.architectures import ANY, inception_resnet_v1
from tests.conftest import CHECKOUT, PORTRAITS, CommandLine
from tests.helpers.convert_model import convert_model, refused
from tests.helpers.networks import small_facenet

SHIPPED = CHECKOUT / "models" / "facenet-int8.tflite"


def write_inception_weights(path: Path, numbers: int) -> Path:
    """Random weights of Inception-ResNet-v1 as Keras 2 stores weights alone."""
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:

        def store(
            layer: str, array: str, arrays: tuple[str, ...], shape: tuple[int, ...]
        ) -> NDArray[np.float32]:
            shape = tuple(numbers if length == ANY else length for length in shape)
            if len(shape) > 1:
                values = random.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape)
            elif array == "moving_variance":
                values = random.uniform(0.7, 1.5, shape)
            else:
                values = random.normal(0, 0.2, shape)
            group = file.require_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{one}:0".encode() for one in arrays]
            group[f"{layer}/{array}:0"] = values.astype(np.float32)
            return values.astype(np.float32)

        inception_resnet_v1(store)
    return path


def goes_through(edgeface: CommandLine, model: Path, numbers: int) -> None:
    """encode, enroll and verify with a model; the very picture enrolled is accepted."""
    picture = PORTRAITS / "collins.jpg"
    encoded = edgeface("encode", picture, "--model", model, "--json")
    assert encoded.status == 0, encoded.stderr
    (embedding,) = encoded.json["embeddings"]
    assert len(embedding["embedding"]) == numbers
    assert np.linalg.norm(embedding["embedding"]) == pytest.approx(1, abs=1e-5)
    enrolled = edgeface("enroll", "eileen", picture, "--model", model, "--json")
    assert enrolled.status == 0, enrolled.stderr
    verified = edgeface("verify", "eileen", picture, "--model", model, "--json")
    assert verified.status == 0, verified.stderr + verified.stdout
    assert verified.json["score"] == pytest.approx(1, abs=1e-3)
    assert edgeface("verify", "eileen", picture).status == 2  # another model's gallery


def test_a_network_of_512_numbers_simply_works(edgeface: CommandLine, tmp_path: Path) -> None:
    weights = write_inception_weights(tmp_path / "weights.h5", 512)
    model = tmp_path / "wide.tflite"
    options = ("--architecture", "inception_resnet_v1", "--precision", "float32", "--no-report")
    made = convert_model(weights, "-o", model, *options)
    assert made.status == 0, made.stderr
    goes_through(edgeface, model, 512)


def test_a_network_for_96_pixels_simply_works(
    edgeface: CommandLine, photos: Path, tmp_path: Path
) -> None:
    folder = openface.write_folder(tmp_path / "weights")
    model = tmp_path / "nn4.tflite"
    made = convert_model(folder, "-o", model, "--calibrate", photos, "--no-report")
    assert made.status == 0, made.stderr
    assert load_model(model).description.input.size == 96
    goes_through(edgeface, model, 128)
    tried = edgeface("verify", "eileen", PORTRAITS / "collins.jpg", "--model", model)
    assert "the thresholds of nn4.tflite are a guess" in tried.stderr
    settings = tmp_path / "edgeface.toml"
    settings.write_text(f'[recognition]\nmodel = "{model}"\n')
    checks = edgeface("doctor", "--config", settings, "--json").json["checks"]
    (check,) = (check for check in checks if check["name"] == "model")
    assert not check["ok"]
    assert "convert-model describe" in check["advice"]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The shipped network without its description."""
    path = tmp_path / "bare.tflite"
    about = load_model(SHIPPED).description
    path.write_bytes(SHIPPED.read_bytes()[: about.network_bytes])
    return path


def test_a_file_without_a_description_is_refused_until_it_has_one(
    bare: Path, edgeface: CommandLine, photos: Path, tmp_path: Path
) -> None:
    picture = PORTRAITS / "collins.jpg"
    before = edgeface("encode", picture, "--model", bare)
    assert before.status == 2
    assert "convert-model describe" in before.stderr
    shown = convert_model("inspect", bare)
    assert "add one with: convert-model describe" in shown.stdout
    assert "CONV_2D" in shown.stdout
    people = tmp_path / "people"
    for path in sorted(photos.glob("*-320.png")) + sorted(photos.glob("*-480.png")):
        person = people / path.stem.rstrip("-0123456789")
        person.mkdir(parents=True, exist_ok=True)
        (person / path.name).write_bytes(path.read_bytes())
    added = convert_model("describe", bare, "--colour", "bgr", "--labelled", people)
    assert added.status == 0, added.stderr
    model = load_model(bare)
    assert (model.description.precision, model.description.input.size) == ("int8", 160)
    assert threshold_for_far(model, 0.1) < 0.6
    after = edgeface("encode", picture, "--model", bare, "--json")
    assert after.status == 0, after.stderr
    shipped = edgeface("encode", picture, "--json")
    one, other = (found.json["embeddings"][0]["embedding"] for found in (after, shipped))
    assert np.dot(one, other) > 0.8  # the shipped one is centred too


def test_a_damaged_file_is_refused_by_inspect(bare: Path) -> None:
    bare.write_bytes(bare.read_bytes()[:5000])
    assert "is damaged; copy it again" in refused("inspect", bare)


def test_the_check_names_what_an_old_runtime_lacks(tmp_path: Path) -> None:
    """TensorFlow's own dynamic-range model, and one that records a version it outgrew."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras
    import tensorflow as tf
    from ai_edge_quantizer import quantizer, recipe

    source = keras.Input((24, 24, 3), batch_size=1)
    x = keras.layers.Conv2D(64, 3, strides=4)(source)
    x = keras.layers.Dense(128)(keras.layers.Flatten()(x))
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(source, x))
    plain = converter.convert()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    engine = quantizer.Quantizer(bytes(plain), recipe.dynamic_wi8_afp32())
    silent = engine.quantize(enable_progress_bar=False, enable_progress_report=False)
    for name, network in (
        ("tensorflow", converter.convert()),
        ("silent", silent.quantized_model),
    ):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(network)
        found: Any = json.loads(convert_model("inspect", path, "--json").stdout)
        answer = found["runs_on"]["tflite-runtime 2.14.0"]
        assert answer.startswith("no: it lacks FULLY_CONNECTED version 12"), name
        assert found["runs_on"]["litert"] == "yes"
        assert found["minimum_runtime"] == "2.17.0"


def test_two_classes_of_ends_are_shown(tmp_path: Path, photos: Path) -> None:
    source = small_facenet().save(tmp_path / "small.h5")
    model = tmp_path / "small.tflite"
    options = ("--calibrate", photos, "--ends", "float32", "--no-report")
    assert convert_model(source, "-o", model, *options).status == 0
    assert "float32 in, float32 out" in convert_model("inspect", model).stdout
