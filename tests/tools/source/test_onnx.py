"""ONNX files: read as data, the same numbers as ONNX' own reference, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeface.errors import ModelError
from edgeface_tools.cli.convert_model import main as convert_model
from edgeface_tools.network.graph import Multiply, Prelu
from edgeface_tools.network.rewrite import simplify
from edgeface_tools.network.to_tflite import float_tflite
from edgeface_tools.source.load import load_source
from edgeface_tools.source.onnx import read_onnx
from tests.helpers.command import call
from tests.helpers.interpreters import run

SIDE, CHANNELS = 12, 4
Floats = NDArray[np.float32]


class SmallSFace:
    """A network of SFace's kinds of layers: scaled pixels, convolutions plain and depthwise with
    zeros around, batch norms, PReLUs with slopes on both sides of 1, weights in 8 bits by block."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.slopes: tuple[float, ...] = (-0.5, 0.2, 0.8, 1.5)

    def constant(self, name: str, values: Any) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def floats(self, name: str, *shape: int, low: float = -1, high: float = 1) -> str:
        return self.constant(name, self.random.uniform(low, high, shape).astype(np.float32))

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def normed(self, value: str, channels: int = CHANNELS) -> str:
        name = f"norm_{len(self.nodes)}"
        arrays = [self.floats(f"{name}/{i}", channels, low=0.5) for i in range(4)]
        return self.add("BatchNormalization", value, *arrays, epsilon=1e-3)

    def blocks(self, name: str, *shape: int) -> str:
        """Weights of 8 bits whose scales are those of blocks of 3."""
        flat = (shape[0], int(np.prod(shape[1:])))
        levels = self.random.integers(-127, 127, flat).astype(np.int8)
        counts = (flat[0], -(-flat[1] // 3))
        parts = [
            self.constant(f"{name}/levels", levels),
            self.floats(f"{name}/scales", *counts, low=0.001, high=0.01),
            self.constant(f"{name}/zeros", np.zeros(counts, np.int8)),
        ]
        value = self.add("DequantizeLinear", *parts, axis=1, block_size=3)
        return self.add("Reshape", value, self.constant(f"{name}/shape", np.array(shape)))

    def layer(self, value: str, weights: str, group: int, stride: int) -> str:
        value = self.add(
            "Conv", value, weights, group=group, pads=[1, 1, 1, 1], strides=[stride, stride]
        )
        slopes = np.array(self.slopes, np.float32)[:, None, None]
        value = self.normed(value)
        return self.add("PRelu", value, self.constant(f"{value}/slope", slopes))

    def save(self, path: Path) -> Path:
        value = self.add("Sub", "data", self.constant("offset", np.array([127.5], np.float32)))
        value = self.add("Mul", value, self.constant("scale", np.array([1 / 128], np.float32)))
        value = self.layer(value, self.blocks("first", CHANNELS, 3, 3, 3), 1, 1)
        value = self.layer(value, self.blocks("second", CHANNELS, 1, 3, 3), CHANNELS, 2)
        value = self.layer(value, self.floats("third", CHANNELS, CHANNELS, 3, 3), 1, 1)
        value = self.add("Dropout", self.normed(value))
        value = self.add("Flatten", value)
        numbers = CHANNELS * (SIDE // 2) ** 2
        dense = self.floats("dense", 5, numbers), self.floats("bias", 5)
        return self.write(path, self.normed(self.add("Gemm", value, *dense, transB=1), 5))

    def write(self, path: Path, value: str) -> Path:
        """The file, with `value`, of shape (1, 5), as its output."""
        graph = helper.make_graph(
            self.nodes,
            "small",
            [helper.make_tensor_value_info("data", onnx.TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, [1, 5])],
            self.weights,
        )
        opsets = [helper.make_opsetid("", 21)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
        return path

    def convolution(self, value: str, inputs: int, side: int = 3, **attributes: Any) -> str:
        name = f"conv_{len(self.nodes)}"
        weights = self.floats(name, CHANNELS, inputs, side, side)
        pads = {"auto_pad": "NOTSET", "pads": [side // 2] * 4} | attributes
        return self.add("Conv", value, weights, self.floats(f"{name}/bias", CHANNELS), **pads)

    def pooled(self, kind: str, value: str, **attributes: Any) -> str:
        shape = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        return self.add(kind, value, **(shape | attributes))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return SmallSFace().save(tmp_path / "small.onnx")


def picture() -> Floats:
    values = np.random.default_rng(1).integers(0, 255, (SIDE, SIDE, 3))
    return values.astype(np.float32)


def by_reference(path: Path, rgb: Floats) -> Floats:
    (found,) = ReferenceEvaluator(str(path)).run(None, {"data": rgb.transpose(2, 0, 1)[None]})
    result: Floats = np.asarray(found, np.float32)[0]
    return result


def test_a_converted_network_computes_what_the_reference_does(small: Path) -> None:
    loaded = load_source(str(small))
    assert (loaded.input.normalization, loaded.input.colour) == ("fixed", "bgr")
    assert (loaded.input.offset, loaded.input.scale) == (127.5, 128)
    rgb = picture()
    found = run(loaded.network, (rgb[..., ::-1] - 127.5) / 128)[0]
    np.testing.assert_allclose(found, by_reference(small, rgb), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("end", ["GlobalAveragePool", "ReduceMean", "Flatten", "Reshape"])
def test_an_ordinary_residual_network_computes_what_the_reference_does(
    tmp_path: Path, end: str
) -> None:
    made = SmallSFace()
    first = made.add("LeakyRelu", made.convolution("data", 3), alpha=0.2)
    first = made.pooled("MaxPool", made.add("Relu", first))
    second = made.convolution(first, CHANNELS, pads=[0, 0, 0, 0], auto_pad="VALID", strides=[1, 1])
    second = made.add("Relu", made.normed(second))
    first = made.convolution(first, CHANNELS, side=3, auto_pad="VALID", pads=[0, 0, 0, 0])
    value = made.add("Add", first, second)
    value = made.add(
        "Concat", value, made.add("Mul", first, made.floats("by", CHANNELS, 1, 1)), axis=1
    )
    value = made.pooled("AveragePool", value, count_include_pad=1)
    numbers = 2 * CHANNELS * (1 if end in ("GlobalAveragePool", "ReduceMean") else 4)
    if end == "ReduceMean":
        value = made.add(end, value, made.constant("axes", np.array([2, 3])), keepdims=0)
    elif end == "Reshape":
        value = made.add("Relu", made.add(end, value, made.constant("row", np.array([1, -1]))))
    elif end == "GlobalAveragePool":
        value = made.add("Flatten", made.add(end, value))
    else:
        value = made.add(end, value)
    value = made.add("MatMul", value, made.floats("dense", numbers, 5))
    path = made.write(tmp_path / "ordinary.onnx", made.add("Add", value, made.floats("plus", 5)))
    rgb = picture() / np.float32(255)
    found = run(float_tflite(simplify(read_onnx(path))), rgb)[0]
    np.testing.assert_allclose(found, by_reference(path, rgb), rtol=1e-4, atol=1e-4)


REFUSED: dict[str, Callable[[SmallSFace], str]] = {
    "is not one of plain windows": lambda made: made.pooled("MaxPool", "data"),
    "reads a flattened picture": lambda made: made.normed(made.add("Flatten", "data"), 3 * SIDE**2),
    "its output is a picture": lambda made: made.add("Flatten", "data"),
    "does not make one row of numbers": lambda made: made.add("Flatten", "data", axis=2),
    "pads its input more above": lambda made: made.convolution(
        "data", 3, auto_pad="SAME_LOWER", pads=[0, 0, 0, 0]
    ),
    "are not one for each channel": lambda made: made.add("Mul", "data", made.floats("by", SIDE)),
    "over a picture's two sides": lambda made: made.add(
        "ReduceMean", "data", made.constant("axes", np.array([1]))
    ),
    "other than channels": lambda made: made.add("Concat", "data", "data", axis=2),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_would_come_out_different_is_refused_in_one_sentence(
    tmp_path: Path, reason: str
) -> None:
    made = SmallSFace()
    path = made.write(tmp_path / "odd.onnx", REFUSED[reason](made))
    done = call(convert_model, path, "-o", tmp_path / "odd.tflite")
    assert done.status == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "odd.tflite").exists()


def test_no_prelu_is_left_and_cheap_layers_are_computed_twice(small: Path) -> None:
    network = read_onnx(small)
    assert sum(isinstance(node.operation, Prelu) for node in network.nodes) == 3
    kinds = [type(node.operation) for node in simplify(network).nodes]
    assert Prelu not in kinds
    # The first layer (27 products a number) and the depthwise one are computed twice; the third
    # gives the bent part, of which the straight one is a multiple.
    assert kinds.count(Multiply) == 1


def test_a_slope_near_one_is_not_made_of_a_vanishing_part(tmp_path: Path) -> None:
    made = SmallSFace()
    made.slopes = (-0.5, 0.5, 0.99, 1.5)  # the third would be 99 times what is rounded
    path = made.save(tmp_path / "small.onnx")
    kinds = [type(node.operation) for node in simplify(read_onnx(path)).nodes]
    assert kinds.count(Multiply) == 2
    rgb = picture()
    found = run(load_source(str(path)).network, (rgb[..., ::-1] - 127.5) / 128)[0]
    np.testing.assert_allclose(found, by_reference(path, rgb), rtol=1e-4, atol=1e-4)


def test_a_prelu_at_the_end_keeps_its_sign(tmp_path: Path) -> None:
    small = SmallSFace()
    path = small.save(tmp_path / "small.onnx")
    model = onnx.load(path)
    slopes = numpy_helper.from_array(np.full(5, 2, np.float32), "last")
    model.graph.initializer.append(slopes)
    end = model.graph.output[0].name
    model.graph.node.append(helper.make_node("PRelu", [end, "last"], ["bent"], name="bent"))
    model.graph.output[0].name = "bent"
    onnx.save(model, path)
    network = float_tflite(simplify(read_onnx(path)))
    rgb = picture()
    found = run(network, rgb)[0]
    np.testing.assert_allclose(found, by_reference(path, rgb), rtol=1e-4, atol=1e-4)


def test_what_is_no_whole_onnx_file_is_refused(small: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(small.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"not an ONNX file that can be read .* again"):
        load_source(str(cut))


def test_an_unknown_operator_is_named(small: Path, tmp_path: Path) -> None:
    model = onnx.load(small)
    end = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Erf", [end], ["odd"], name="the odd one"))
    model.graph.output[0].name = "odd"
    path = tmp_path / "odd.onnx"
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"'the odd one' is a Erf; known are Add, "):
        load_source(str(path))


def test_weights_in_other_files_are_not_read(small: Path, tmp_path: Path) -> None:
    model = onnx.load(small)
    path = tmp_path / "parts.onnx"
    onnx.save_model(
        model, path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    with pytest.raises(ModelError, match="keeps its weights in other files"):
        load_source(str(path))
