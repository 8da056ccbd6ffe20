"""A face network as plain data: the form into which every source is read and which rewrites change.

Takes in only arrays and names, hands on a `Graph`: nodes in the order they are computed, each one
operation with its weights as float32 arrays, pictures as (height, width, channels). It never loads
TensorFlow and never holds code: an operation that is not listed here cannot be expressed, so no
file can smuggle one in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import singledispatch
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import ModelError

Weights = NDArray[np.float32]
Padding = Literal["same", "valid"]
Shape = tuple[int, ...]
"""Without the batch: (height, width, channels) for pictures, (numbers,) after pooling."""

Pair = tuple[int, int]
"""(vertical, horizontal)."""


class Unsupported(ModelError):
    """A network that this form cannot express, though its own framework may well run it."""


@dataclass(frozen=True, eq=False)
class Convolution:
    kernel: Weights
    """(height, width, inputs, outputs)."""
    bias: Weights
    strides: Pair = (1, 1)
    padding: Padding = "same"


@dataclass(frozen=True, eq=False)
class Depthwise:
    """A convolution in which each output channel depends on one input channel, which has
    `multiplier` of them."""

    kernel: Weights
    """(height, width, outputs), the outputs of one input channel side by side."""
    bias: Weights
    multiplier: int
    strides: Pair = (1, 1)
    padding: Padding = "same"


@dataclass(frozen=True, eq=False)
class Dense:
    kernel: Weights
    """(inputs, outputs)."""
    bias: Weights


@dataclass(frozen=True, eq=False)
class BatchNorm:
    gamma: Weights
    beta: Weights
    mean: Weights
    variance: Weights
    epsilon: float
    of_vectors: bool = False
    """Axis 1 is meant, which holds the channels only where there is no picture."""


@dataclass(frozen=True)
class Relu:
    pass


@dataclass(frozen=True, eq=False)
class Prelu:
    """The value where it is positive, `slope` times it where it is not."""

    slope: Weights
    """(channels,)."""


@dataclass(frozen=True, eq=False)
class Multiply:
    """Each channel times a number of its own."""

    factor: Weights
    """(channels,)."""


@dataclass(frozen=True)
class Pool:
    kind: Literal["max", "average"]
    size: Pair
    strides: Pair
    padding: Padding


@dataclass(frozen=True)
class Pad:
    """Zeros around a picture."""

    vertical: Pair
    """(above, below)."""
    horizontal: Pair
    """(left, right)."""


@dataclass(frozen=True)
class GlobalAverage:
    pass


@dataclass(frozen=True)
class Flatten:
    """A picture as one row of numbers: row by row, pixel by pixel, channel by channel."""


@dataclass(frozen=True)
class Scale:
    """factor * x + shift."""

    factor: float
    shift: float = 0.0


@dataclass(frozen=True)
class Concatenate:
    """Along the channels."""

    of_vectors: bool = False
    """As for `BatchNorm`."""


@dataclass(frozen=True)
class Add:
    """first + scale * second: the residual connection of Inception-ResNet."""

    scale: float = 1.0


@dataclass(frozen=True)
class Identity:
    """A layer that does nothing at inference (dropout, a linear activation)."""


Weighted = Convolution | Depthwise | Dense
Operation = (
    Weighted
    | BatchNorm
    | Relu
    | Prelu
    | Multiply
    | Pool
    | Pad
    | GlobalAverage
    | Flatten
    | Concatenate
    | Add
    | Scale
    | Identity
)


@dataclass(frozen=True, eq=False)
class Node:
    """One operation on the outputs of earlier nodes, given by name."""

    name: str
    operation: Operation
    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """One picture in, one embedding out. Construction checks that all shapes fit."""

    input_name: str
    input_shape: Shape
    nodes: tuple[Node, ...]
    output_name: str
    shapes: dict[str, Shape] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shapes = {self.input_name: self.input_shape}
        for node in self.nodes:
            missing = [name for name in node.inputs if name not in shapes]
            if node.name in shapes or missing or not node.inputs:
                raise ModelError(
                    f"the network's layer {node.name!r} is not connected to earlier layers"
                )
            shapes[node.name] = _output_shape(node, [shapes[name] for name in node.inputs])
        if self.output_name not in shapes:
            raise ModelError(f"the network has no layer {self.output_name!r} to be its output")
        object.__setattr__(self, "shapes", shapes)

    @property
    def embedding_size(self) -> int:
        return self.shapes[self.output_name][-1]

    def producer(self, name: str) -> Node | None:
        """The node called `name`; None for the input."""
        return next((node for node in self.nodes if node.name == name), None)

    def consumers(self, name: str) -> list[Node]:
        return [node for node in self.nodes if name in node.inputs]

    def map_nodes(self, changed: Mapping[str, Node | None]) -> Graph:
        """This network with the nodes named in `changed` replaced.

        None removes a node: its consumers read its only input instead.
        """
        renamed: dict[str, str] = {}
        nodes: list[Node] = []
        for node in self.nodes:
            new = changed.get(node.name, node)
            if new is None:
                renamed[node.name] = renamed.get(node.inputs[0], node.inputs[0])
            else:
                inputs = tuple(renamed.get(name, name) for name in new.inputs)
                nodes.append(replace(new, inputs=inputs))
        output = renamed.get(self.output_name, self.output_name)
        return replace(self, nodes=tuple(nodes), output_name=output)


def in_order(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """The nodes sorted so that each comes after its inputs, otherwise as they are."""
    waiting = {node.name: node for node in nodes}
    ordered: list[Node] = []
    while waiting:
        ready = [n for n in waiting.values() if not any(name in waiting for name in n.inputs)]
        if not ready:
            raise ModelError(f"the network's layer {next(iter(waiting))!r} feeds itself")
        ordered += ready
        for node in ready:
            del waiting[node.name]
    return tuple(ordered)


def _output_shape(node: Node, inputs: list[Shape]) -> Shape:
    try:
        shape = _shape_after(node.operation, *inputs)
    except (ValueError, TypeError):  # a shape that does not unpack, or another number of inputs
        shape = None
    if shape is None or min(shape) < 1:
        raise Unsupported(
            f"the layer {node.name!r} ({type(node.operation).__name__}) cannot take an input of "
            f"shape {' and '.join(map(str, inputs))}"
        )
    return shape


@singledispatch
def _shape_after(operation: Operation, value: Shape) -> Shape | None:
    """The shape of an operation's output, by its inputs' shapes; None when they do not fit."""
    return value


@_shape_after.register
def _(operation: Concatenate, *values: Shape) -> Shape | None:
    if len({shape[:-1] for shape in values}) != 1:
        return None
    if operation.of_vectors and len(values[0]) != 1:
        return None
    return (*values[0][:-1], sum(shape[-1] for shape in values))


@_shape_after.register
def _(operation: Add, first: Shape, second: Shape) -> Shape | None:
    return first if first == second else None


@_shape_after.register
def _(operation: BatchNorm, value: Shape) -> Shape | None:
    vectors = (operation.gamma, operation.beta, operation.mean, operation.variance)
    if operation.of_vectors and len(value) != 1:
        return None
    return value if all(vector.shape == value[-1:] for vector in vectors) else None


@_shape_after.register
def _(operation: Prelu, value: Shape) -> Shape | None:
    return value if operation.slope.shape == value[-1:] else None


@_shape_after.register
def _(operation: Multiply, value: Shape) -> Shape | None:
    return value if operation.factor.shape == value[-1:] else None


@_shape_after.register
def _(operation: Dense, value: Shape) -> Shape | None:
    inputs, outputs = operation.kernel.shape
    return (outputs,) if value == (inputs,) and operation.bias.shape == (outputs,) else None


@_shape_after.register
def _(operation: Convolution, value: Shape) -> Shape | None:
    height, width, channels = value
    kernel_height, kernel_width, inputs, outputs = operation.kernel.shape
    if inputs != channels or operation.bias.shape != (outputs,):
        return None
    size, padding = (kernel_height, kernel_width), operation.padding
    return (*_windows((height, width), size, operation.strides, padding), outputs)


@_shape_after.register
def _(operation: Depthwise, value: Shape) -> Shape | None:
    height, width, channels = value
    kernel_height, kernel_width, outputs = operation.kernel.shape
    if outputs != channels * operation.multiplier or operation.bias.shape != (outputs,):
        return None
    size, padding = (kernel_height, kernel_width), operation.padding
    return (*_windows((height, width), size, operation.strides, padding), outputs)


@_shape_after.register
def _(operation: Pad, value: Shape) -> Shape | None:
    height, width, channels = value
    if min(*operation.vertical, *operation.horizontal) < 0:
        return None
    return (height + sum(operation.vertical), width + sum(operation.horizontal), channels)


@_shape_after.register
def _(operation: Flatten, value: Shape) -> Shape | None:
    return (prod(value),)


@_shape_after.register
def _(operation: Pool, value: Shape) -> Shape | None:
    height, width, channels = value
    sides = _windows((height, width), operation.size, operation.strides, operation.padding)
    return (*sides, channels)


@_shape_after.register
def _(operation: GlobalAverage, value: Shape) -> Shape | None:
    _, _, channels = value
    return (channels,)


def _windows(sides: Pair, size: Pair, strides: Pair, padding: Padding) -> Pair:
    if padding == "same":
        return (-(-sides[0] // strides[0]), -(-sides[1] // strides[1]))
    return ((sides[0] - size[0]) // strides[0] + 1, (sides[1] - size[1]) // strides[1] + 1)
