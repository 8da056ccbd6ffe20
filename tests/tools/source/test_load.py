"""Every kind of source, recognized by content: exact where it is known, refused where it is not."""

from __future__ import annotations

import base64
import json
import marshal
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.reference import openface
from edgeface.errors import ConfigError, ModelError
from edgeface_tools.network import to_keras as keras_build
from edgeface_tools.network.to_tflite import float_tflite
from edgeface_tools.source.load import load_source
from edgeface_tools.source.weights import read_openface_csv
from tests.helpers import inception
from tests.helpers.convert_model import refused
from tests.helpers.interpreters import cosines, run
from tests.helpers.networks import KerasTwo, small_facenet

SIDE = 24


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    return keras


@pytest.fixture(scope="module")
def small(keras: Any) -> Any:
    """A model with every kind of layer that is read from Keras 3, its norms not trivial."""
    layers = keras.layers
    x = source = keras.Input((SIDE, SIDE, 3))
    x = layers.ZeroPadding2D(((1, 0), (1, 0)))(x)
    x = layers.Conv2D(12, 3, strides=2, activation="relu", name="stem")(x)
    x = layers.BatchNormalization(name="norm")(x)
    y = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
    y = layers.ReLU()(layers.Conv2D(12, 1, name="mix")(y))
    x = layers.Add()([x, layers.Rescaling(0.17)(y)])
    x = layers.Concatenate()([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2)(y)])
    x = layers.Dense(16, name="numbers")(layers.Flatten()(x))
    model = keras.Model(source, layers.UnitNormalization()(x))
    random = np.random.default_rng(3)
    for layer in model.layers:
        layer.set_weights(
            [
                random.uniform(0.5, 1.5, w.shape)
                if w.name == "moving_variance"
                else random.normal(0, 0.3, w.shape)
                for w in layer.weights
            ]
        )
    return model


def pictures(count: int, side: int) -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(count, side, side, 3)).astype(np.float32)


def similar(path: Path, model: Any, side: int, **options: Any) -> NDArray[np.float64]:
    """Cosines between a source as it is read and the Keras model; the source takes BGR or RGB."""
    loaded = load_source(str(path), **options)
    seen = pictures(5, side)
    order = seen[..., ::-1] if loaded.input.colour == "bgr" else seen
    return cosines(run(loaded.network, *order), model.predict(seen, verbose=0))


def test_a_keras_file_computes_what_keras_computes(small: Any, tmp_path: Path) -> None:
    small.save(tmp_path / "small.keras")
    assert similar(tmp_path / "small.keras", small, SIDE).min() > 0.999999


def test_files_that_keras_three_saves_as_hdf5_are_read_too(small: Any, tmp_path: Path) -> None:
    small.save(tmp_path / "small.h5")
    assert similar(tmp_path / "small.h5", small, SIDE).min() > 0.999999


def test_content_decides_and_not_the_ending(small: Any, tmp_path: Path) -> None:
    small.save(tmp_path / "small.keras")
    (tmp_path / "small.keras").rename(tmp_path / "small.h5")
    assert load_source(str(tmp_path / "small.h5")).embedding_size == 16


def test_a_sequential_is_read(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), layers.Conv2D(8, 3), layers.GlobalAveragePooling2D()]
    )
    model.save(tmp_path / "chain.keras")
    assert similar(tmp_path / "chain.keras", model, SIDE).min() > 0.999999


def test_a_saved_model_computes_what_keras_computes(small: Any, tmp_path: Path) -> None:
    small.export(tmp_path / "folder", verbose=False)
    assert similar(tmp_path / "folder", small, SIDE).min() > 0.999999


def test_a_saved_model_that_writes_files_is_refused(keras: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    trace = tmp_path / "created-by-the-model"

    class Hostile(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((1, SIDE, SIDE, 3))])  # type: ignore[untyped-decorator]
        def __call__(self, picture: Any) -> Any:
            tf.io.write_file(str(trace), "x")
            return tf.reduce_mean(picture, (1, 2))

    module = Hostile()
    tf.saved_model.save(module, str(tmp_path / "bad"), signatures=module.__call__)
    with pytest.raises(ModelError, match=r"is refused: .*\(WriteFile\)"):
        load_source(str(tmp_path / "bad"))
    assert not trace.exists()


def test_a_saved_model_with_two_outputs_is_refused(keras: Any, tmp_path: Path) -> None:
    source = keras.Input((SIDE, SIDE, 3))
    flat = keras.layers.GlobalAveragePooling2D()(source)
    two = keras.Model(source, [keras.layers.Dense(4)(flat), keras.layers.Dense(4)(flat)])
    two.export(tmp_path / "two", verbose=False)
    two.save(tmp_path / "two.keras")
    for path in (tmp_path / "two", tmp_path / "two.keras"):
        with pytest.raises(ModelError, match="has 2 outputs; a face network has one"):
            load_source(str(path))


def test_a_keras_file_with_a_lambda_is_refused_and_never_run(keras: Any, tmp_path: Path) -> None:
    trace = tmp_path / "created-by-the-model"
    source = keras.Input((SIDE, SIDE, 3))
    flat = keras.layers.GlobalAveragePooling2D()(source)
    model = keras.Model(source, keras.layers.Lambda(lambda x: x * 2, name="boom")(flat))
    path = tmp_path / "lambda.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    code = eval(f"lambda x: open({str(trace)!r}, 'w')").__code__  # noqa: S307 (our own text)
    (layer,) = [one for one in config["config"]["layers"] if one["class_name"] == "Lambda"]
    layer["config"]["function"]["config"]["code"] = base64.b64encode(marshal.dumps(code)).decode()
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    message = refused(path, "-o", tmp_path / "out.tflite", "--precision", "float32")
    assert "'boom' (Lambda) is refused: it holds Python code" in message
    assert not trace.exists()
    assert not (tmp_path / "out.tflite").exists()


def test_a_named_scaling_is_rebuilt_from_its_argument(tmp_path: Path) -> None:
    net = KerasTwo()
    stem = net.conv("stem", net.picture(), (3, 3, 3, 4))
    config: dict[str, Any] = {"function": "scaling", "function_type": "function"}
    net.layer("Lambda", "half", stem, arguments={"scale": 0.5}, **config)
    net.layer("GlobalAveragePooling2D", "average", "half", data_format="channels_last")
    plain = KerasTwo()
    stem = plain.conv("stem", plain.picture(), (3, 3, 3, 4))
    plain.layer("GlobalAveragePooling2D", "average", stem, data_format="channels_last")
    seen = pictures(2, SIDE)
    found, whole = (
        run(load_source(str(one.save(tmp_path / f"{i}.h5"))).network, *seen)
        for i, one in enumerate((net, plain))
    )
    np.testing.assert_allclose(found, whole / 2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_keras_file_cut_short_is_refused(share: float, small: Any, tmp_path: Path) -> None:
    path = tmp_path / "small.keras"
    small.save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ModelError, match=r"is not a complete \.keras file") as caught:
        load_source(str(path))
    assert "\n" not in str(caught.value)


def test_a_truncated_h5_is_refused_by_the_command(tmp_path: Path) -> None:
    path = small_facenet().save(tmp_path / "small.h5")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cannot be read as an HDF5 file" in refused(path, "-o", tmp_path / "out.tflite")


def test_a_network_without_a_picture_is_refused_by_the_command(keras: Any, tmp_path: Path) -> None:
    source = keras.Input((128,))
    keras.Model(source, keras.layers.Dense(16)(source)).save(tmp_path / "flat.keras")
    message = refused(tmp_path / "flat.keras", "-o", tmp_path / "out.tflite")
    assert "takes an input of shape (128,)" in message


@pytest.fixture(scope="module")
def wide() -> Any:
    return inception.build(512)


@pytest.mark.parametrize("name", ["wide.weights.h5", "wide.h5"])
def test_weights_of_inception_resnet_find_their_network(
    name: str, wide: Any, tmp_path: Path
) -> None:
    """512 numbers, read off the weights; the second is Keras 2's layout of weights alone."""
    path = tmp_path / name
    if name == "wide.h5":
        import h5py

        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [layer.name.encode() for layer in wide.layers]
            for layer in wide.layers:
                group = file.create_group(layer.name)
                names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
                group.attrs["weight_names"] = [one.encode() for one in names]
                for one, values in zip(names, layer.get_weights(), strict=True):
                    group[one] = values
    else:
        wide.save_weights(path)
    with pytest.raises(ModelError, match="--architecture"):
        load_source(str(path))
    loaded = load_source(str(path), "inception_resnet_v1")
    assert (loaded.input.size, loaded.embedding_size) == (160, 512)
    assert similar(path, wide, 160, architecture="inception_resnet_v1").min() >= 0.9999


def test_a_whole_inception_resnet_in_a_keras_file(wide: Any, tmp_path: Path) -> None:
    wide.save(tmp_path / "wide.keras")
    assert similar(tmp_path / "wide.keras", wide, 160).min() >= 0.9999


def test_weights_of_another_network_are_refused_with_both_shapes(
    keras: Any, tmp_path: Path
) -> None:
    source = keras.Input((160, 160, 3))
    x = keras.layers.Conv2D(16, 3, use_bias=False, name="Conv2d_1a_3x3")(source)
    keras.Model(source, x).save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ModelError, match=r"\(3, 3, 3, 16\).*needs \(3, 3, 3, 32\)"):
        load_source(str(tmp_path / "other.weights.h5"), "inception_resnet_v1")
    with pytest.raises(ModelError, match="no weights for the layer 'conv1' of nn4_small2"):
        load_source(str(tmp_path / "other.weights.h5"), "nn4_small2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return openface.write_folder(tmp_path_factory.mktemp("csv") / "weights")


def test_openface_weights_compute_what_numpy_computes(folder: Path) -> None:
    loaded = load_source(str(folder))
    assert (loaded.input.size, loaded.embedding_size) == (96, 128)
    assert (loaded.input.normalization, loaded.input.scale) == ("fixed", 255)
    seen = np.random.default_rng(0).uniform(size=(2, 96, 96, 3))
    reference = openface.OpenFace(folder)
    wanted = np.array([reference(picture.transpose(2, 0, 1)) for picture in seen])
    found = run(loaded.network, *seen[..., ::-1])  # the loaded network takes BGR
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_openface_weights_compute_what_keras_computes(folder: Path) -> None:
    model = keras_build.as_keras(read_openface_csv(folder))
    assert np.all(similar(folder, model, 96) >= 0.9999)


def test_each_inception_block_is_that_of_the_reference(folder: Path) -> None:
    network, reference = read_openface_csv(folder), openface.OpenFace(folder)
    picture = np.random.default_rng(1).uniform(size=(96, 96, 3))
    before = "pool3"
    for name, block in (
        ("inception_3a", reference.a3),
        ("inception_3b", reference.b3),
        ("inception_3c", reference.c3),
        ("inception_4a", reference.a4),
        ("inception_4e", reference.e4),
        ("inception_5a", reference.a5),
        ("inception_5b", reference.b5),
    ):
        taken, given = (
            run(float_tflite(replace(network, output_name=end)), picture)[0]
            for end in (before, name)
        )
        wanted = block(taken.transpose(2, 0, 1)).transpose(1, 2, 0)
        np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-5, err_msg=name)
        before = name


def test_a_missing_csv_file_is_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "weights"
    shutil.copytree(folder, copy)
    (copy / "inception_4a_5x5_bn2_v.csv").unlink()
    message = refused(copy, "-o", tmp_path / "out.tflite", "--precision", "float32")
    assert "the file inception_4a_5x5_bn2_v.csv is missing" in message


def test_a_csv_file_of_another_shape_is_named_with_both_shapes(
    folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "weights"
    shutil.copytree(folder, copy)
    path = copy / "conv2_w.csv"
    values = np.loadtxt(path, delimiter=",", ndmin=2)
    for wrong in (values[:, :-1], values.T.reshape(-1, 32)[:100]):
        np.savetxt(path, wrong, delimiter=",")
        with pytest.raises(ModelError) as caught:
            read_openface_csv(copy)
        assert str(wrong.shape) in str(caught.value)
        assert "(64, 64, 1, 1)" in str(caught.value)
    path.write_text("no,numbers\n")
    with pytest.raises(ModelError, match="holds something other than numbers"):
        read_openface_csv(copy)


def test_csv_files_are_of_one_network_only(folder: Path) -> None:
    with pytest.raises(ConfigError, match="not as inception_resnet_v1"):
        load_source(str(folder), "inception_resnet_v1")
