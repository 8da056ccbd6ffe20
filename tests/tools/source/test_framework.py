"""A source in its own framework: what it says of raw pixels is what the converted network says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeface.errors import ConfigError, ModelError
from edgeface.pipeline.model_file import InputSpec
from edgeface_tools.people.faces import standardize
from edgeface_tools.source import load
from edgeface_tools.source.framework import open_keras
from edgeface_tools.source.load import load_source
from edgeface_tools.source.normalization import Prepared, Takes
from tests.helpers.convert_model import convert_model, refused
from tests.helpers.interpreters import cosines, run
from tests.helpers.networks import KerasTwo

SIDE = 24


@pytest.fixture(scope="module")
def keras() -> Any:
    from edgeface_tools.network.to_keras import import_keras

    return import_keras()


@pytest.fixture(scope="module")
def crops() -> NDArray[np.uint8]:
    shades = np.linspace(0, 1, SIDE)[:, None, None] * np.ones((1, SIDE, 3))
    random = np.random.default_rng(0)
    pictures = [shades * random.uniform(40, 255, 3) + random.normal(0, 20, 3) for _ in range(6)]
    return np.stack(pictures).clip(0, 255).astype(np.uint8)


def body(keras: Any, value: Any) -> Any:
    """The layers after the preprocessing, with biases, so that a shifted picture shows."""
    layers = keras.layers
    x = layers.Conv2D(8, 3, strides=2, bias_initializer="glorot_normal", activation="relu")(value)
    x = layers.Conv2D(12, 3, activation="relu")(x)
    return layers.Dense(16)(layers.GlobalAveragePooling2D()(x))


def with_rescaling(keras: Any) -> Any:
    source = keras.Input((SIDE, SIDE, 3))
    return keras.Model(source, body(keras, keras.layers.Rescaling(1 / 127.5, -1)(source)))


def with_normalization(keras: Any) -> Any:
    source = keras.Input((SIDE, SIDE, 3))
    layer = keras.layers.Normalization(mean=[124, 116, 104], variance=[3411, 3249, 3306])
    return keras.Model(source, body(keras, layer(source)))


def behind_a_crop(keras: Any) -> Any:
    source = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.CenterCrop(SIDE - 4, SIDE - 4)(source)
    return keras.Model(source, body(keras, keras.layers.Rescaling(1 / 255)(x)))


def of_whole_numbers(keras: Any) -> Any:
    source = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    return keras.Model(source, body(keras, keras.layers.Rescaling(1 / 255)(source)))


def by_arithmetic(keras: Any) -> Any:
    source = keras.Input((SIDE, SIDE, 3))
    return keras.Model(source, body(keras, (source - 127.5) / 128.0))


def in_two_branches(keras: Any) -> Any:
    source = keras.Input((SIDE, SIDE, 3))
    both = [body(keras, keras.layers.Rescaling(1 / 255)(source)) for _ in range(2)]
    return keras.Model(source, keras.layers.Concatenate()(both))


@pytest.mark.parametrize(
    "make",
    [with_rescaling, with_normalization, behind_a_crop, of_whole_numbers, by_arithmetic,
     in_two_branches],
)  # fmt: skip
def test_preprocessing_in_the_file_becomes_the_described_normalization(
    make: Any, keras: Any, crops: NDArray[np.uint8], tmp_path: Path
) -> None:
    """What Keras makes of raw pixels is what the runtime makes of them by the description."""
    keras.utils.set_random_seed(1)
    model = make(keras)
    model.save(tmp_path / "model.keras")
    loaded = load_source(str(tmp_path / "model.keras"))
    wanted = np.asarray(model(crops[..., ::-1].astype(model.inputs[0].dtype)), np.float64)
    found = run(loaded.network, *(standardize(crop, loaded.input)[0] for crop in crops))
    assert cosines(found, wanted).min() > 0.9999
    assert np.ptp(wanted, axis=0).max() > 0.01, "the pictures look all alike to this network"
    with pytest.raises(ConfigError, match=r"--normalization 0\.\.1"):
        load_source(str(tmp_path / "model.keras"), normalization="0..1")


def test_a_rescaling_is_taken_out_and_described(keras: Any, tmp_path: Path) -> None:
    with_rescaling(keras).save(tmp_path / "model.keras")
    about = load_source(str(tmp_path / "model.keras")).input
    assert (about.normalization, about.offset, about.scale) == ("fixed", 127.5, 127.5)


def test_a_leading_step_that_shows_no_range_asks_for_it(keras: Any, tmp_path: Path) -> None:
    source = keras.Input((SIDE, SIDE, 3))
    keras.Model(source, body(keras, keras.layers.Rescaling(2.0, -1.0)(source))).save(
        tmp_path / "model.keras"
    )
    with pytest.raises(ModelError, match="say it with --normalization"):
        load_source(str(tmp_path / "model.keras"))
    assert load_source(str(tmp_path / "model.keras"), normalization="0..1").input.scale == 255


def test_mean_and_deviation_by_channel_can_be_said(
    keras: Any, crops: NDArray[np.uint8], tmp_path: Path
) -> None:
    keras.utils.set_random_seed(2)
    source = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(source, body(keras, source))
    model.save(tmp_path / "model.keras")
    loaded = load_source(str(tmp_path / "model.keras"), normalization="124,116,104/58,57,50")
    pictures = (crops[..., ::-1] - np.array([124.0, 116, 104])) / np.array([58.0, 57, 50])
    found = run(loaded.network, *(standardize(crop, loaded.input)[0] for crop in crops))
    assert cosines(found, np.asarray(model(pictures), np.float64)).min() > 0.9999
    assert loaded.opened is not None
    own = loaded.opened.embeddings(crops, loaded.takes).astype(np.float64)
    assert cosines(found, own).min() > 0.9999
    with pytest.raises(ConfigError, match="is no normalization"):
        load_source(str(tmp_path / "model.keras"), normalization="1,2/3")


def test_a_network_that_is_read_wrongly_is_not_written(
    keras: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before the preprocessing was noticed: only the comparison with Keras can show it."""
    keras.utils.set_random_seed(1)
    with_rescaling(keras).save(tmp_path / "model.keras")

    def unnoticed(network: bytes, spec: InputSpec, *others: Any, **more: Any) -> Prepared:
        raw = InputSpec(spec.size, spec.colour, "fixed")
        return Prepared(network, InputSpec(spec.size, spec.colour, "per-image"), Takes.of(raw))

    output = tmp_path / "out.tflite"
    options = ("--calibrate", photos, "--precision", "float32", "--no-report")
    done = convert_model(tmp_path / "model.keras", "-o", output, *options)
    assert done.status == 0, done.stderr
    assert "agrees with Keras" in done.stderr
    output.unlink()
    monkeypatch.setattr(load, "ready", unnoticed)
    message = refused(tmp_path / "model.keras", "-o", output, *options)
    assert "disagrees with Keras" in message
    assert "nothing written" in message
    assert not output.exists()


def test_layers_that_only_keras_knows_are_converted_by_keras(
    keras: Any, crops: NDArray[np.uint8], tmp_path: Path
) -> None:
    """PReLU, swish, squeeze and excite, a sum of three, a shared layer, a network inside."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    inner_source = keras.Input((SIDE, SIDE, 3))
    x = layers.SeparableConv2D(8, 3, strides=2)(inner_source)
    inner = keras.Model(inner_source, layers.PReLU(shared_axes=[1, 2])(x), name="inner")
    source = keras.Input((SIDE, SIDE, 3))
    x = inner(source)
    shared = layers.Conv2D(8, 3, padding="same", activation="swish")
    once = shared(x)
    x = layers.Add()([x, once, shared(once)])
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(8, 1, activation="sigmoid")(gate)
    x = layers.Multiply()([x, gate])
    x = layers.Concatenate()([layers.GlobalMaxPooling2D()(x), layers.Flatten()(gate)])
    model = keras.Model(source, layers.Dense(16, activation="tanh")(x))
    model.save(tmp_path / "model.keras")
    loaded = load_source(str(tmp_path / "model.keras"))
    found = run(loaded.network, *(standardize(crop, loaded.input)[0] for crop in crops))
    assert loaded.opened is not None
    own = loaded.opened.embeddings(crops, loaded.takes).astype(np.float64)
    assert cosines(found, own).min() > 0.9999


def test_one_tower_of_a_triplet_model_is_taken_by_its_name(
    keras: Any, crops: NDArray[np.uint8], tmp_path: Path
) -> None:
    source = keras.Input((SIDE, SIDE, 3))
    tower = keras.Model(source, body(keras, source), name="tower")
    three = [keras.Input((SIDE, SIDE, 3), name=name) for name in ("a", "p", "n")]
    whole = keras.Model(three, keras.layers.Concatenate()([tower(one) for one in three]))
    whole.save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match=r"has 3 inputs.*--layer: .*tower"):
        load_source(str(tmp_path / "model.keras"))
    loaded = load_source(str(tmp_path / "model.keras"), layer="tower", normalization="raw")
    found = run(loaded.network, *(standardize(crop, loaded.input)[0] for crop in crops))
    wanted = np.asarray(tower(crops[..., ::-1].astype(np.float32)), np.float64)
    assert cosines(found, wanted).min() > 0.9999


def test_a_softmax_is_no_embedding_and_the_layer_before_it_is(keras: Any, tmp_path: Path) -> None:
    source = keras.Input((SIDE, SIDE, 3))
    numbers = body(keras, source)
    x = keras.layers.Dense(5, activation="softmax")(numbers)
    model = keras.Model(source, x)
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "folder", verbose=False)
    with pytest.raises(ModelError, match=r"softmax over 5 classes.*--layer"):
        load_source(str(tmp_path / "model.keras"))
    with pytest.raises(ModelError, match=r"softmax over 5 classes.*--layer"):
        load_source(str(tmp_path / "folder"))
    name = model.layers[-2].name
    assert load_source(str(tmp_path / "model.keras"), layer=name).embedding_size == 16


def test_a_folder_as_tensorflow_serving_has_it_is_read(keras: Any, tmp_path: Path) -> None:
    source = keras.Input((SIDE, SIDE, 3))
    keras.Model(source, body(keras, source)).export(tmp_path / "net" / "2", verbose=False)
    (tmp_path / "net" / "1").mkdir()
    (tmp_path / "net" / "1" / "saved_model.pb").write_bytes(b"old")
    assert load_source(str(tmp_path / "net")).embedding_size == 16


def test_a_frozen_graph_of_tensorflow_1_is_read(crops: NDArray[np.uint8], tmp_path: Path) -> None:
    """With the phase_train switch that FaceNet's frozen graphs have."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        v1.disable_control_flow_v2()
        picture = v1.placeholder(tf.float32, (None, SIDE, SIDE, 3), "input")
        training = v1.placeholder(tf.bool, (), "phase_train")
        kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 16)).astype(np.float32)
        x = tf.nn.relu(tf.nn.conv2d(picture, kernel, 2, "SAME"))
        x = v1.cond(training, lambda: tf.random.normal(tf.shape(x)), lambda: x * 2.0)
        x = tf.nn.l2_normalize(tf.reduce_mean(x, (1, 2)), axis=1, name="embeddings")
        (tmp_path / "20180402.pb").write_bytes(graph.as_graph_def().SerializeToString())
    v1.enable_control_flow_v2()
    loaded = load_source(str(tmp_path / "20180402.pb"))
    found = run(loaded.network, *(standardize(crop, loaded.input)[0] for crop in crops))
    assert loaded.opened is not None
    own = loaded.opened.embeddings(crops, loaded.takes).astype(np.float64)
    assert cosines(found, own).min() > 0.9999
    assert loaded.embedding_size == 16


def test_a_hostile_configuration_is_not_handed_to_keras(tmp_path: Path) -> None:
    """tf.keras 2 would run the Lambda of an .h5 file in spite of its safe mode."""
    net = KerasTwo()
    x = net.conv("stem", net.picture(), (3, 3, 3, 4))
    net.layer("Lambda", "boom", x, function=["AAAA", None, None], function_type="lambda")
    for kind in ("boom", "stem"):
        with pytest.raises(ModelError, match="holds Python code, which is never run"):
            open_keras(net.save(tmp_path / "bad.h5"), None if kind == "boom" else kind)
    net = KerasTwo()
    net.layer("TFOpLambda", "op", net.picture(), function="io.read_file")
    with pytest.raises(ModelError, match=r"'io\.read_file', which is not arithmetic"):
        open_keras(net.save(tmp_path / "bad.h5"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"<!DOCTYPE html><html><head></head></html>", "is a web page"),
        (b"\x20\x00\x00\x00TFL3" + bytes(100), "convert-model describe"),
        (b"\x80\x04\x95" + bytes(100), "is a pickle"),
        (b"\x08\x07\x12\x07pytorch" + bytes(100), "not an ONNX file that can be read"),
        (b"nothing known", "is neither an HDF5 nor a .keras file"),
    ],
)
def test_what_is_no_network_is_named_for_what_it_is(
    content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(content)
    assert words in refused(path, "-o", tmp_path / "out.tflite")


def test_an_archive_and_an_unpacked_file_are_named(keras: Any, tmp_path: Path) -> None:
    source = keras.Input((SIDE, SIDE, 3))
    keras.Model(source, body(keras, source)).save(tmp_path / "model.keras")
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "model.keras")
    message = refused(tmp_path / "packed.zip", "-o", tmp_path / "out.tflite")
    assert "is a zip archive with model.keras in it" in message
    shutil.unpack_archive(tmp_path / "model.keras", tmp_path / "unpacked.keras", "zip")
    message = refused(tmp_path / "unpacked.keras", "-o", tmp_path / "out.tflite")
    assert "is an unpacked .keras file" in message
