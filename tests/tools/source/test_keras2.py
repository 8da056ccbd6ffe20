"""Reading Keras 2 files: exact for what is known, refused in a sentence for what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeface.errors import ModelError
from edgeface_tools.network.graph import Add, Graph
from edgeface_tools.network.to_tflite import float_tflite
from edgeface_tools.source.keras2 import read_legacy_h5
from tests.helpers.command import start
from tests.helpers.interpreters import run
from tests.helpers.networks import SIDE, KerasTwo, compute, marshalled, small_facenet


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return small_facenet().save(tmp_path_factory.mktemp("h5") / "small.h5").read_bytes()


def read(net: KerasTwo, folder: Path) -> Graph:
    return read_legacy_h5(net.save(folder / "model.h5"))


def refusal(net: KerasTwo, folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read(net, folder)
    return str(caught.value)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_network_computes_what_its_layers_say(seed: int, tmp_path: Path) -> None:
    net = small_facenet(seed)
    picture = np.random.default_rng(seed).normal(size=(SIDE, SIDE, 3))
    expected = compute(net, picture)
    found = run(float_tflite(read(net, tmp_path)), picture)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_residual_scale_comes_from_the_recorded_argument(tmp_path: Path) -> None:
    network = read(small_facenet(), tmp_path)
    node = network.producer("block_sum")
    assert node is not None
    assert node.operation == Add(scale=0.17)


@pytest.mark.parametrize(
    "expression",
    [
        "lambda inputs, scale: open({path!r}, 'w')",
        "lambda inputs, scale: inputs[0] + inputs[1] * scale",  # right, but who can tell?
        "lambda x: x",
    ],
)
def test_a_lambda_that_is_not_known_is_refused_and_never_run(
    expression: str, tmp_path: Path
) -> None:
    trace = tmp_path / "created-by-the-model"
    net = small_facenet()
    code = marshalled(expression.format(path=str(trace)))
    for layer in net.layers:
        if layer["name"] == "block_sum":
            layer["config"]["function"] = [code, None, None]
    message = refusal(net, tmp_path)
    assert "'block_sum' (Lambda) is refused" in message
    assert not trace.exists()


@pytest.mark.parametrize("arguments", [{}, {"scale": 0.1, "more": 1}, None, {"factor": 0.1}])
def test_a_lambda_with_other_arguments_is_refused(arguments: object, tmp_path: Path) -> None:
    net = small_facenet()
    for layer in net.layers:
        if layer["name"] == "block_sum":
            layer["config"]["arguments"] = arguments
    assert "'block_sum' (Lambda) is refused" in refusal(net, tmp_path)


def with_unknown_layer() -> KerasTwo:
    net = small_facenet()
    net.layer("SelfDestruct", "boom", "embedding")
    return net


def with_two_outputs() -> KerasTwo:
    net = small_facenet()
    net.outputs = ["embedding", "average"]
    return net


def with_two_inputs() -> KerasTwo:
    net = small_facenet()
    net.picture(name="other")
    return net


def with_an_input_that_is_no_picture() -> KerasTwo:
    net = KerasTwo()
    net.dense("out", net.picture((128,)), (128, 16))
    return net


def with_a_grey_picture() -> KerasTwo:
    net = KerasTwo()
    net.conv("out", net.picture((SIDE, SIDE, 1)), (3, 3, 1, 4))
    return net


def with_a_wrong_kernel() -> KerasTwo:
    net = small_facenet()
    net.weights["left"]["kernel"] = np.zeros((1, 1, 5, 8), np.float32)
    return net


def with_channels_first() -> KerasTwo:
    net = small_facenet()
    net.layers[1]["config"]["data_format"] = "channels_first"
    return net


def with_a_fused_tanh() -> KerasTwo:
    net = small_facenet()
    net.layers[1]["config"]["activation"] = "tanh"
    return net


def with_a_layer_used_twice() -> KerasTwo:
    net = small_facenet()
    net.layers[1]["inbound_nodes"] *= 2
    return net


def with_a_cycle() -> KerasTwo:
    net = small_facenet()
    net.layers[1]["inbound_nodes"] = [[["block_relu", 0, 0, {}]]]
    return net


def with_numbers_that_are_none() -> KerasTwo:
    net = small_facenet()
    net.weights["up"]["kernel"][0, 0, 0, 0] = np.nan
    return net


def with_a_missing_array() -> KerasTwo:
    net = small_facenet()
    del net.weights["up"]["bias"]
    return net


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (with_unknown_layer, "'boom' (SelfDestruct) is refused"),
        (with_two_outputs, "has 2 outputs"),
        (with_two_inputs, "has 2 inputs"),
        (with_an_input_that_is_no_picture, "input of shape (128,)"),
        (with_a_grey_picture, "input of shape (24, 24, 1)"),
        (with_a_wrong_kernel, "'left'"),
        (with_channels_first, "data_format is 'channels_first'"),
        (with_a_fused_tanh, "its function 'tanh' is not known"),
        (with_a_layer_used_twice, "it is used 2 times"),
        (with_a_cycle, "feeds itself"),
        (with_numbers_that_are_none, "'up' hold numbers that are not finite"),
        (with_a_missing_array, "'up' has no stored weights 'bias'"),
    ],
)
def test_what_cannot_be_a_face_network_is_refused_by_name(
    make: Callable[[], KerasTwo], words: str, tmp_path: Path
) -> None:
    message = refusal(make(), tmp_path)
    assert words in message
    assert "\n" not in message


def test_a_file_of_weights_alone_asks_for_the_architecture(tmp_path: Path) -> None:
    path = small_facenet().save(tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        del file.attrs["model_config"]
    with pytest.raises(ModelError, match=r"holds weights only.*--architecture"):
        read_legacy_h5(path)


def test_weights_that_are_kept_in_another_file_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(12 * 12 * 4))
    path = small_facenet().save(tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        group = file["model_weights/up"]
        del group["up/bias:0"]
        group.create_dataset(
            "up/bias:0", (12,), np.float32, external=[(str(secret), 0, h5py.h5f.UNLIMITED)]
        )
    with pytest.raises(ModelError, match="not stored in the file itself"):
        read_legacy_h5(path)


def test_a_truncated_file_is_refused_in_one_sentence(saved: bytes, tmp_path: Path) -> None:
    for share in (0, 0.1, 0.5, 0.99):
        path = tmp_path / "cut.h5"
        path.write_bytes(saved[: int(len(saved) * share)])
        with pytest.raises(ModelError, match="cannot be read as an HDF5 file") as caught:
            read_legacy_h5(path)
        assert "\n" not in str(caught.value)


def test_a_damaged_heap_is_refused_and_not_walked_for_ever(saved: bytes, tmp_path: Path) -> None:
    """HDF5 itself never returns from it, hence a process of its own."""
    damaged = bytearray(saved)
    damaged[damaged.index(b"GCOL") + 8] = 0xFC  # the lowest byte of the heap's size
    path = tmp_path / "damaged.h5"
    path.write_bytes(damaged)
    done = start(
        "edgeface_tools.cli.convert_model", path, "-o", tmp_path / "out.tflite", seconds=120
    )
    assert done.status == 2
    assert "is not a complete Keras model" in done.stderr


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(places=st.lists(st.integers(0, 60_000), min_size=1, max_size=8), value=st.integers(0, 255))
def test_damaged_bytes_give_an_error_of_ours_or_a_network(
    saved: bytes, tmp_path: Path, places: list[int], value: int
) -> None:
    damaged = bytearray(saved)
    for place in places:
        damaged[place % len(damaged)] = value
    path = tmp_path / "damaged.h5"
    path.write_bytes(damaged)
    try:
        network = read_legacy_h5(path)
    except ModelError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(network, Graph)


def test_a_model_config_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = small_facenet().save(tmp_path / "model.h5")
    for content in (b"{", b"[]", json.dumps({"class_name": "Model", "config": {}}).encode()):
        with h5py.File(path, "a") as file:
            file.attrs["model_config"] = content
        with pytest.raises(ModelError, match="not a complete Keras model"):
            read_legacy_h5(path)
