"""int8: near to float, the same bytes every time, loadable on the runtimes it names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgeface.errors import ModelError
from edgeface.pipeline.model_file import InputSpec
from edgeface_tools.network.rewrite import simplify
from edgeface_tools.network.to_tflite import float_tflite
from edgeface_tools.people.faces import standardize
from edgeface_tools.quantize import calibrate as calibrating
from edgeface_tools.quantize.calibrate import Calibration, calibrate
from edgeface_tools.quantize.quantize import Precision, quantize, rounding_shift
from edgeface_tools.quantize.sqnr import layer_noise
from edgeface_tools.quantize.widening import widened
from edgeface_tools.source.keras2 import read_legacy_h5
from edgeface_tools.tflite.flatbuffer import end_types, name_of, operators, unpack
from edgeface_tools.tflite.operators import Need, minimum_runtime, needed_version, needs, too_new
from tests.helpers.interpreters import cosines, run
from tests.helpers.networks import SIDE, small_facenet

SPEC = InputSpec(SIDE, "bgr", "per-image")


def crops(count: int, seed: int) -> NDArray[np.uint8]:
    """Smooth coloured noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, SIDE // 4, SIDE // 4, 3))
    return np.kron(coarse, np.ones((1, 4, 4, 1))).astype(np.uint8)


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = small_facenet().save(tmp_path_factory.mktemp("h5") / "small.h5")
    return float_tflite(simplify(read_legacy_h5(path)))


@pytest.fixture(scope="module")
def calibration(floats: bytes) -> Calibration:
    return calibrate(floats, crops(64, 1), SPEC, "noise")


def test_int8_points_where_float_points(floats: bytes, calibration: Calibration) -> None:
    pictures = [standardize(crop, SPEC)[0] for crop in crops(100, 2)]
    similar = cosines(run(floats, *pictures), run(quantize(floats, "int8", calibration), *pictures))
    assert np.median(similar) > 0.995
    assert similar.min() > 0.97


def test_input_and_output_are_int8_and_weights_go_by_channel(
    floats: bytes, calibration: Calibration
) -> None:
    model = unpack(quantize(floats, "int8", calibration))
    graph = model.subgraphs[0]
    int8 = 9
    assert [graph.tensors[i].type for i in (*graph.inputs, *graph.outputs)] == [int8, int8]
    for operator in operators(model):
        if operator.name == "CONV_2D":
            kernel = operator.inputs[1]
            assert len(kernel.quantization.scale) == kernel.shape[0]


def test_the_same_numbers_give_the_same_bytes(floats: bytes, calibration: Calibration) -> None:
    again = calibrate(floats, crops(64, 1), SPEC, "noise")
    assert again == calibration
    assert quantize(floats, "int8", again) == quantize(floats, "int8", calibration)


@pytest.mark.parametrize(
    ("precision", "median", "kind"),
    [
        ("float32", 0.999999, "float32"),
        ("float16", 0.99999, "float32"),
        ("dynamic", 0.998, "float32"),
        ("int16x8", 0.999, "int16"),
    ],
)
def test_every_precision_stays_near_and_loads_everywhere(
    precision: Precision, median: float, kind: str, floats: bytes, calibration: Calibration
) -> None:
    network = quantize(floats, precision, calibration)
    pictures = [standardize(crop, SPEC)[0] for crop in crops(50, 2)]
    assert np.median(cosines(run(floats, *pictures), run(network, *pictures))) > median
    model = unpack(network)
    assert end_types(model) == (kind, kind)
    assert too_new(needs(model)) == []
    assert all(operator.version == needed_version(operator) for operator in operators(model))


def test_an_int8_network_may_keep_float_ends(floats: bytes, calibration: Calibration) -> None:
    network = quantize(floats, "int8", calibration, "float32")
    assert end_types(unpack(network)) == ("float32", "float32")
    pictures = [standardize(crop, SPEC)[0] for crop in crops(50, 2)]
    assert np.median(cosines(run(floats, *pictures), run(network, *pictures))) > 0.995


def test_int16_keeps_more_than_int8(floats: bytes, calibration: Calibration) -> None:
    """Layer by layer: the wider activations lose less everywhere."""
    faces = crops(8, 4)
    loss = {
        precision: [
            one.sqnr_db
            for one in layer_noise(floats, quantize(floats, precision, calibration), faces, SPEC)
        ]
        for precision in ("int8", "int16x8")
    }
    assert len(loss["int8"]) == len(loss["int16x8"]) == 10
    assert np.median(np.subtract(loss["int16x8"], loss["int8"])) > 3


def test_observations_survive_their_file(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "observations.json"
    path.write_bytes(calibrating.encoded(calibration))
    assert calibrating.load(path) == calibration


def test_observations_of_another_network_are_refused(
    floats: bytes, calibration: Calibration
) -> None:
    ranges = dict(calibration.ranges)
    del ranges["up"]
    other = Calibration(1, "noise", 64, ranges, calibration.means)
    with pytest.raises(ModelError, match="another network: they lack 'up'"):
        quantize(floats, "int8", other)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"format": 1}'])
def test_a_file_without_observations_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "observations.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="holds no observations"):
        calibrating.load(path)


def test_ranges_hold_zero_and_nearly_all_values(floats: bytes, calibration: Calibration) -> None:
    assert calibration.ranges["stem_relu"][0] == 0  # ReLU gives nothing below
    for name, (low, high) in calibration.ranges.items():
        assert low <= 0 <= high, name
        assert high > low, name


def test_bias_correction_takes_the_mean_shift_out(floats: bytes, calibration: Calibration) -> None:
    """Without it the outputs' mean error is larger: seen on the embedding over many pictures."""
    blind = Calibration(1, "noise", 64, calibration.ranges, {})
    pictures = [standardize(crop, SPEC)[0] for crop in crops(300, 3)]
    wanted = run(floats, *pictures).mean(axis=0)
    errors = [
        np.linalg.norm(run(quantize(floats, "int8", seen), *pictures).mean(axis=0) - wanted)
        for seen in (calibration, blind)
    ]
    assert errors[0] < 0.8 * errors[1]


def test_the_shift_is_what_rounding_adds_for_constant_inputs() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(4, 3, 3, 5))
    means = random.uniform(0, 2, 5)
    steps = np.abs(kernel).max(axis=(1, 2, 3), keepdims=True) / 127
    rounded = np.rint(kernel / steps) * steps
    constant = np.broadcast_to(means, (3, 3, 5))
    expected = [(constant * (r - k)).sum() for r, k in zip(rounded, kernel, strict=True)]
    np.testing.assert_allclose(rounding_shift("CONV_2D", kernel, means), expected)
    depthwise = np.moveaxis(kernel[:1], 0, 0)
    found = rounding_shift("DEPTHWISE_CONV_2D", depthwise, means)
    assert found.shape == means.shape


def test_every_operator_is_known_to_the_oldest_runtime(
    floats: bytes, calibration: Calibration
) -> None:
    found = needs(unpack(quantize(floats, "int8", calibration)))
    assert too_new(found) == []
    assert minimum_runtime(found) == "1.14.0"
    assert {need.name: need.version for need in found} == {
        "ADD": 2,
        "CONCATENATION": 2,
        "CONV_2D": 3,
        "FULLY_CONNECTED": 4,
        "MAX_POOL_2D": 2,
        "MEAN": 2,
    }


def test_the_file_itself_names_its_operators_versions(
    floats: bytes, calibration: Calibration
) -> None:
    model = unpack(quantize(floats, "int8", calibration))
    for operator in operators(model):
        assert operator.version == needed_version(operator), operator.name


def test_an_operator_that_an_old_runtime_lacks_is_named() -> None:
    hybrid = Need("FULLY_CONNECTED", 12, 1, "2.17.0")
    unknown = Need("CUSTOM", 1, 1, None)
    fine = Need("CONV_2D", 3, 1, "1.14.0")
    assert [str(need) for need in too_new([hybrid, unknown, fine])] == [
        "FULLY_CONNECTED version 12",
        "CUSTOM version 1",
    ]


def test_the_noisiest_layers_are_left_in_float_until_the_limit_holds(
    floats: bytes, calibration: Calibration
) -> None:
    """The share of agreement with float stands for the TAR: each wider network comes nearer."""
    pictures = [standardize(crop, SPEC)[0] for crop in crops(6, 5)]
    exact = run(floats, *pictures)

    def near(network: bytes) -> float:
        return 1 - float(np.abs(run(network, *pictures) - exact).mean() / np.abs(exact).mean())

    def made(layers: Sequence[str]) -> bytes:
        return quantize(floats, "int8", calibration, wide=layers)

    first = made(())
    noise = layer_noise(floats, first, crops(4, 6), SPEC)
    worst = min(noise, key=lambda one: one.sqnr_db).layer
    types = {
        op.outputs[0].type
        for op in operators(unpack(made([worst])))
        if name_of(op.outputs[0]) == worst and op.name not in ("QUANTIZE", "DEQUANTIZE")
    }
    assert types == {schema.TensorType.FLOAT32}
    allowed = 100 * (1 - near(first)) / 2
    network, found = widened(made, noise, near, 1.0, 1e-3, allowed)
    assert 0 < len(found.layers) <= len(noise)
    assert worst in found.layers
    assert 100 * (1 - near(network)) <= allowed < 100 * (1 - found.first_tar)
    assert too_new(needs(unpack(network))) == []
    with pytest.raises(ModelError, match="even with every layer in float"):
        widened(made, noise, lambda _: 0.5, 1.0, 1e-3, 1.0)
