"""Reads an ONNX file as data: the network of one picture in, one embedding out.

Takes in a file, hands on a `Graph` with pictures as (height, width, channels), as everything else
here has them; ONNX has channels first, so kernels are turned and a flattened picture's weights are
reordered. Weights that are stored in 8 bits, by block or not, become float32. It runs nothing,
reads no second file that the first may name, and refuses an operator that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from edgeface.errors import ModelError
from edgeface_tools.network import graph
from edgeface_tools.network.graph import Graph, Node, Weights

_Array = NDArray[Any]
_Reading = Callable[["_Reader", Any], None]


def read_onnx(path: Path) -> Graph:
    """The network in an ONNX file. Raises ModelError for one that cannot be read or expressed."""
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        reader = _Reader(model.graph, path)
        for node in model.graph.node:
            reader.read(node)
        return reader.network()
    except ModelError:
        raise
    except (DecodeError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path} is not an ONNX file that can be read ({type(error).__name__}); download it "
            "again, or export it from its framework with opset 13 or newer"
        ) from None


class _Reader:
    """Collects the network's nodes, and the arrays that are known without a picture."""

    def __init__(self, content: Any, path: Path) -> None:
        self._path = path
        self._content = content
        self._known: dict[str, _Array] = {
            tensor.name: _array(tensor, path) for tensor in content.initializer
        }
        self._nodes: list[Node] = []
        # By name: the picture that a row of numbers was, whose order here is not that in the file.
        self._flattened: dict[str, graph.Shape] = {}
        # Files with compressed weights go on naming the old ones, which nothing reads any more.
        read = {name for node in content.node for name in node.input} - self._known.keys()
        inputs = [value for value in content.input if value.name in read]
        if len(inputs) != 1 or len(content.output) != 1:
            raise self._refused("it has not one input and one output")
        self._input = inputs[0].name
        sides = [size.dim_value for size in inputs[0].type.tensor_type.shape.dim]
        if len(sides) != 4 or sides[1] != 3 or min(sides[2:]) < 1:
            raise self._refused(
                f"its input has shape {tuple(sides)}, not (1, 3, height, width) with fixed sides"
            )
        self._shape = (sides[2], sides[3], 3)

    def read(self, node: Any) -> None:
        """Take in one operator, after those that it reads."""
        reading = _READINGS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if reading is None:
            raise self._refused(
                f"its operator {node.name!r} is a {node.op_type}; known are {', '.join(_READINGS)}"
            )
        reading(self, node)

    def network(self) -> Graph:
        """All that was read."""
        output = self._content.output[0].name
        if output in self._flattened:
            raise self._refused("its output is a picture, not an embedding")
        return Graph(self._input, self._shape, tuple(self._nodes), output)

    def constant(self, node: Any) -> None:
        self._known[node.output[0]] = _array(_attributes(node)["value"], self._path)

    def dequantize(self, node: Any) -> None:
        """Of a constant: (levels - zero) * scale, the scale by tensor, channel or block."""
        levels, scale = self._array(node, 0), self._array(node, 1).astype(np.float64)
        zero = self._array(node, 2).astype(np.float64) if len(node.input) > 2 else np.zeros(1)
        axis, block = _attributes(node).get("axis", 1), _attributes(node).get("block_size", 0)
        scale, zero = (_spread(part, levels.shape, axis, block) for part in (scale, zero))
        self._known[node.output[0]] = ((levels - zero) * scale).astype(np.float32)

    def reshape(self, node: Any) -> None:
        """Of a constant, or of a picture to one row of numbers."""
        wanted = [int(size) for size in self._array(node, 1)]
        if node.input[0] in self._known:
            self._known[node.output[0]] = self._known[node.input[0]].reshape(wanted)
        elif len(wanted) == 2 and wanted[0] in (-1, 0, 1):
            self._flatten(node)
        else:
            raise self._refused(f"the operator {node.name!r} does not make one row of numbers")

    def flatten(self, node: Any) -> None:
        if _attributes(node).get("axis", 1) != 1:
            raise self._refused(f"the operator {node.name!r} does not make one row of numbers")
        self._flatten(node)

    def _flatten(self, node: Any) -> None:
        shape = self._shape_of(node.input[0])
        self._add(node, graph.Flatten())
        if len(shape) == 3 and shape[:2] != (1, 1) and shape[2] > 1:
            self._flattened[node.output[0]] = shape

    def convolution(self, node: Any) -> None:
        found, weights = _attributes(node), self._array(node, 1)
        if weights.ndim != 4 or any(step != 1 for step in found.get("dilations", [])):
            raise self._refused(f"the convolution {node.name!r} is not one of plain windows")
        outputs, per_group, *_ = weights.shape
        groups = found.get("group", 1)
        bias = self._array(node, 2) if len(node.input) > 2 else np.zeros(outputs, np.float32)
        strides = _pair(found.get("strides", [1, 1]))
        source, padding = self._padded(node, found)
        if groups == 1:
            kernel = _floats(weights.transpose(2, 3, 1, 0))
            self._add(node, graph.Convolution(kernel, _floats(bias), strides, padding), source)
        elif per_group == 1 and outputs % groups == 0:
            kernel = _floats(weights[:, 0].transpose(1, 2, 0))
            operation = graph.Depthwise(kernel, _floats(bias), outputs // groups, strides, padding)
            self._add(node, operation, source)
        else:
            raise self._refused(f"the convolution {node.name!r} has groups of several channels")

    def batch_norm(self, node: Any) -> None:
        gamma, beta, mean, variance = (_floats(self._array(node, place)) for place in range(1, 5))
        epsilon = _attributes(node).get("epsilon", 1e-5)
        self._add(node, graph.BatchNorm(gamma, beta, mean, variance, epsilon))

    def relu(self, node: Any) -> None:
        self._add(node, graph.Relu())

    def leaky_relu(self, node: Any) -> None:
        channels = self._shape_of(node.input[0])[-1]
        slope = _attributes(node).get("alpha", 0.01)
        self._add(node, graph.Prelu(np.full(channels, slope, np.float32)))

    def pool(self, node: Any) -> None:
        """Of plain windows. What is padded counts as zeros here, so that it must do so there."""
        found, average = _attributes(node), node.op_type == "AveragePool"
        before = next((one for one in self._nodes if one.name == node.input[0]), None)
        positive = before is not None and isinstance(before.operation, graph.Relu)
        zeros = bool(found.get("count_include_pad", 0)) if average else positive
        plain = all(step == 1 for step in found.get("dilations", [])) and len(node.output) == 1
        if found.get("ceil_mode", 0) or not plain or (any(found.get("pads", [])) and not zeros):
            raise self._refused(f"the pooling {node.name!r} is not one of plain windows")
        source, padding = self._padded(node, found)
        size, strides = _pair(found["kernel_shape"]), _pair(found.get("strides", [1, 1]))
        kind: Literal["max", "average"] = "average" if average else "max"
        self._add(node, graph.Pool(kind, size, strides, padding), source)

    def global_average(self, node: Any) -> None:
        self._add(node, graph.GlobalAverage())

    def mean(self, node: Any) -> None:
        """Over both sides of a picture."""
        axes = _attributes(node).get("axes")
        axes = self._array(node, 1) if axes is None and len(node.input) > 1 else axes
        if axes is None or sorted(int(axis) % 4 for axis in axes) != [2, 3]:
            raise self._refused(f"the mean {node.name!r} is not one over a picture's two sides")
        self._add(node, graph.GlobalAverage())

    def concatenate(self, node: Any) -> None:
        dimensions = len(self._shape_of(node.input[0])) + 1
        if _attributes(node)["axis"] % dimensions != 1:
            raise self._refused(f"the operator {node.name!r} joins something other than channels")
        self._add(node, graph.Concatenate(), *node.input)

    def prelu(self, node: Any) -> None:
        slope = self._array(node, 1)
        if slope.size != max(slope.shape[:1] or (1,)):  # (channels, 1, 1), or one for all
            raise self._refused(f"the slopes of {node.name!r} are not one for each channel")
        channels = self._shape_of(node.input[0])[-1]
        self._add(node, graph.Prelu(_floats(np.broadcast_to(slope.ravel(), channels))))

    def product(self, node: Any) -> None:
        """A dense layer without a bias."""
        if self._array(node, 1).ndim != 2:
            raise self._refused(f"the product {node.name!r} is not that of one row of numbers")
        self.gemm(node)

    def gemm(self, node: Any) -> None:
        found = _attributes(node)
        plain = found.get("alpha", 1.0) == 1 == found.get("beta", 1.0)
        if not plain or found.get("transA", 0):
            raise self._refused(f"the layer {node.name!r} scales or turns its input")
        kernel = self._array(node, 1)
        kernel = kernel.T if found.get("transB", 0) else kernel
        picture = self._flattened.get(node.input[0])
        if picture is not None:  # its numbers came channel by channel; here pixel by pixel
            height, width, channels = picture
            kernel = kernel.reshape(channels, height, width, -1).transpose(1, 2, 0, 3)
            kernel = kernel.reshape(height * width * channels, -1)
        bias = self._array(node, 2) if len(node.input) > 2 else np.zeros(kernel.shape[1])
        self._add(node, graph.Dense(_floats(kernel), _floats(bias)))

    def identity(self, node: Any) -> None:
        self._add(node, graph.Identity())

    def arithmetic(self, node: Any) -> None:
        """A sum of two values, or a constant that is added, subtracted, multiplied or divided by:
        one number, or one for each channel."""
        known = [name in self._known for name in node.input]
        if not any(known) and node.op_type == "Add":
            self._add(node, graph.Add(), *node.input)
            return
        first, second = known
        if first == second or (first and node.op_type in ("Sub", "Div")):
            raise self._refused(f"the operator {node.name!r} ({node.op_type}) is not understood")
        number = self._array(node, 0 if first else 1).astype(np.float64)
        forms: dict[str, tuple[_Array | float, _Array | float]] = {
            "Add": (1.0, number),
            "Sub": (1.0, -number),
            "Mul": (number, 0.0),
        }
        factor, shift = forms.get(node.op_type) or (1 / number, 0.0)
        source = node.input[1 if first else 0]
        if number.size == 1:
            self._add(node, graph.Scale(float(np.sum(factor)), float(np.sum(shift))), source)
            return
        shape = self._shape_of(source)
        by_channel = (shape[-1], 1, 1) if len(shape) == 3 else shape
        if number.shape not in (by_channel, (1, *by_channel)):
            raise self._refused(f"the numbers of {node.name!r} are not one for each channel")
        zeros, ones = np.zeros(shape[-1], np.float32), np.ones(shape[-1], np.float32)
        gamma, beta = (_floats(np.asarray(part).ravel() * ones) for part in (factor, shift))
        self._add(node, graph.BatchNorm(gamma, beta, zeros, ones, 0.0), source)

    def _padded(self, node: Any, found: dict[str, Any]) -> tuple[str, graph.Padding]:
        """The input of a layer of windows, with zeros around it where it wants some, and what is
        left to the layer itself."""
        automatic = found.get("auto_pad", b"NOTSET")
        if automatic == b"SAME_UPPER":
            return str(node.input[0]), "same"
        if automatic not in (b"NOTSET", b"VALID"):
            raise self._refused(f"the layer {node.name!r} pads its input more above than below")
        above, left, below, right = found.get("pads", [0, 0, 0, 0])
        if not any((above, left, below, right)):
            return str(node.input[0]), "valid"
        name = f"{node.output[0]}/padded"
        self._nodes.append(Node(name, graph.Pad((above, below), (left, right)), (node.input[0],)))
        return name, "valid"

    def _add(self, node: Any, operation: graph.Operation, *sources: str) -> None:
        """Append a node. A flattened picture may be read by what treats all numbers alike, and by
        a dense layer, whose weights are put into its order."""
        sources = sources or (node.input[0],)
        pictures = {self._flattened.get(name) for name in sources}
        if pictures != {None} and not isinstance(operation, graph.Dense):
            if len(pictures) != 1 or not isinstance(operation, _ALL_ALIKE):
                raise self._refused(f"the operator {node.name!r} reads a flattened picture")
            self._flattened[node.output[0]] = next(one for one in pictures if one is not None)
        self._nodes.append(Node(node.output[0], operation, sources))

    def _array(self, node: Any, place: int) -> _Array:
        name = node.input[place]
        if name not in self._known:
            raise self._refused(f"the operator {node.name!r} takes weights from another operator")
        return self._known[name]

    def _shape_of(self, name: str) -> graph.Shape:
        return Graph(self._input, self._shape, tuple(self._nodes), name).shapes[name]

    def _refused(self, reason: str) -> ModelError:
        return ModelError(f"the network in {self._path} cannot be converted: {reason}")


_ALL_ALIKE = (graph.Add, graph.Identity, graph.Relu, graph.Scale)
_READINGS: dict[str, _Reading] = {
    "Add": _Reader.arithmetic,
    "AveragePool": _Reader.pool,
    "BatchNormalization": _Reader.batch_norm,
    "Concat": _Reader.concatenate,
    "Constant": _Reader.constant,
    "Conv": _Reader.convolution,
    "DequantizeLinear": _Reader.dequantize,
    "Div": _Reader.arithmetic,
    "Dropout": _Reader.identity,
    "Flatten": _Reader.flatten,
    "Gemm": _Reader.gemm,
    "GlobalAveragePool": _Reader.global_average,
    "Identity": _Reader.identity,
    "LeakyRelu": _Reader.leaky_relu,
    "MatMul": _Reader.product,
    "MaxPool": _Reader.pool,
    "Mul": _Reader.arithmetic,
    "PRelu": _Reader.prelu,
    "ReduceMean": _Reader.mean,
    "Relu": _Reader.relu,
    "Reshape": _Reader.reshape,
    "Sub": _Reader.arithmetic,
}


def _array(tensor: Any, path: Path) -> _Array:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise ModelError(
            f"{path} keeps its weights in other files, which are not read; save it as one file"
        )
    return onnx.numpy_helper.to_array(tensor)


def _attributes(node: Any) -> dict[str, Any]:
    return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}


def _spread(part: _Array, shape: tuple[int, ...], axis: int, block: int) -> _Array:
    """Scales or zero points as an array that fits the levels of `shape`."""
    if part.size == 1:
        return part.reshape(())
    if not block:
        return part.reshape([-1 if place == axis else 1 for place in range(len(shape))])
    return np.repeat(part, block, axis).take(range(shape[axis]), axis)


def _floats(values: _Array) -> Weights:
    return np.ascontiguousarray(values, np.float32)


def _pair(values: Sequence[int]) -> graph.Pair:
    vertical, horizontal = values
    return vertical, horizontal
