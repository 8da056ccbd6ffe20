"""A face network as plain data: what every source is read into and every rewrite works on.

Takes in nothing but arrays and names, hands on a `Network`: nodes in the order they are computed,
each one operation with its weights as float32 arrays, pictures as (height, width, channels). It
never loads TensorFlow and never holds code: an operation that is not listed here cannot be
expressed, so nothing from a file can smuggle one in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, eq=False)
class Convolution:
    kernel: Weights
    """(height, width, inputs, outputs)."""
    bias: Weights
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


@dataclass(frozen=True)
class Relu:
    pass


@dataclass(frozen=True)
class Pool:
    kind: Literal["max", "average"]
    size: Pair
    strides: Pair
    padding: Padding


@dataclass(frozen=True)
class GlobalAverage:
    pass


@dataclass(frozen=True)
class Concatenate:
    """Along the channels."""


@dataclass(frozen=True)
class Add:
    """first + scale * second: the residual connection of Inception-ResNet."""

    scale: float = 1.0


@dataclass(frozen=True)
class Identity:
    """What a layer of training leaves behind at inference (dropout, a linear activation)."""


Operation = (
    Convolution | Dense | BatchNorm | Relu | Pool | GlobalAverage | Concatenate | Add | Identity
)


@dataclass(frozen=True, eq=False)
class Node:
    """One operation on the outputs of earlier nodes, which it knows by name."""

    name: str
    operation: Operation
    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Network:
    """One picture in, one embedding out. Building one checks that every shape fits."""

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
                raise ModelError(f"the network's layer {node.name!r} is not connected as a graph")
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

    def map_nodes(self, changed: dict[str, Node | None]) -> Network:
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


def convolutions(network: Network) -> Iterator[tuple[Node, Convolution]]:
    """Every convolution, in order."""
    for node in network.nodes:
        if isinstance(node.operation, Convolution):
            yield node, node.operation


def _output_shape(node: Node, inputs: list[Shape]) -> Shape:
    operation, first = node.operation, inputs[0]
    wrong = ModelError(
        f"the layer {node.name!r} ({type(operation).__name__}) cannot take an input of shape "
        f"{' and '.join(str(shape) for shape in inputs)}"
    )
    if isinstance(operation, Concatenate):
        if len({shape[:-1] for shape in inputs}) != 1:
            raise wrong
        return (*first[:-1], sum(shape[-1] for shape in inputs))
    if isinstance(operation, Add):
        if len(inputs) != 2 or inputs[0] != inputs[1]:
            raise wrong
        return first
    if len(inputs) != 1:
        raise wrong
    if isinstance(operation, Relu | Identity):
        return first
    if isinstance(operation, BatchNorm):
        vectors = (operation.gamma, operation.beta, operation.mean, operation.variance)
        if any(vector.shape != first[-1:] for vector in vectors):
            raise wrong
        return first
    if isinstance(operation, Dense):
        if operation.kernel.shape[:1] != first or operation.kernel.ndim != 2:
            raise wrong
        if operation.bias.shape != operation.kernel.shape[1:]:
            raise wrong
        return operation.bias.shape
    if len(first) != 3:
        raise wrong
    if isinstance(operation, GlobalAverage):
        return first[-1:]
    if isinstance(operation, Pool):
        sides = _windows(first[:2], operation.size, operation.strides, operation.padding)
        channels = first[2]
    else:
        kernel = operation.kernel
        if kernel.ndim != 4 or kernel.shape[2] != first[2]:
            raise wrong
        if operation.bias.shape != kernel.shape[3:]:
            raise wrong
        size = (kernel.shape[0], kernel.shape[1])
        sides = _windows(first[:2], size, operation.strides, operation.padding)
        channels = kernel.shape[3]
    if min(sides) < 1:
        raise wrong
    return (*sides, channels)


def _windows(sides: Shape, size: Pair, strides: Pair, padding: Padding) -> Shape:
    if padding == "same":
        return tuple(-(-side // stride) for side, stride in zip(sides, strides, strict=True))
    return tuple(
        (side - window) // stride + 1
        for side, window, stride in zip(sides, size, strides, strict=True)
    )
