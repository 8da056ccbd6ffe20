"""The two networks that are known by name, for files that hold only weights.

Takes in a source of weights, hands on a `Graph`. Inception-ResNet-v1 is FaceNet's (Szegedy et al.
2016), with the layer names of the 2018 Keras conversion; NN4-small2 is OpenFace's (Amos et al.
2016) as the Keras tutorials build it, channels last. Every array's shape is compared with the one
that the network needs, and the error names both when they differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from edgeface.errors import ModelError
from edgeface.pipeline.model_file import InputSpec
from edgeface_tools.network import graph

PICTURE = "picture"
ANY = -1


class WeightSource(Protocol):
    """Gives a layer's array by its Keras names, laid out channels last, shape (..., outputs)."""

    def __call__(
        self, layer: str, array: str, arrays: tuple[str, ...], shape: graph.Shape
    ) -> graph.Weights: ...


@dataclass(frozen=True)
class Architecture:
    """A network by name, and its input (with the colour order of its training)."""

    build: Callable[[WeightSource], graph.Graph]
    input: InputSpec


@dataclass
class _Builder:
    """Appends one operation after another; its methods return the output's name."""

    weights: WeightSource
    name: str
    epsilon: float
    nodes: list[graph.Node] = field(default_factory=list)

    def put(self, name: str, operation: graph.Operation, *sources: str) -> str:
        self.nodes.append(graph.Node(name, operation, sources))
        return name

    def array(
        self, layer: str, array: str, arrays: tuple[str, ...], shape: graph.Shape
    ) -> graph.Weights:
        found = self.weights(layer, array, arrays, shape)
        fits = len(found.shape) == len(shape) and all(
            wanted in (ANY, length) for wanted, length in zip(shape, found.shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("any" if n == ANY else str(n) for n in shape)
            raise ModelError(
                f"the weights {array!r} of the layer {layer!r} have the shape {found.shape}, "
                f"{self.name} needs ({wanted})"
            )
        return found

    def conv(
        self,
        layer: str,
        source: str,
        shape: tuple[int, int, int, int],
        strides: graph.Pair = (1, 1),
        padding: graph.Padding = "same",
        *,
        bias: bool = False,
    ) -> str:
        arrays = ("kernel", "bias") if bias else ("kernel",)
        kernel = self.array(layer, "kernel", arrays, shape)
        added = (
            self.array(layer, "bias", arrays, shape[-1:])
            if bias
            else np.zeros(shape[-1], np.float32)
        )
        return self.put(layer, graph.Convolution(kernel, added, strides, padding), source)

    def norm(
        self, layer: str, source: str, channels: int, *, scale: bool, epsilon: float | None = None
    ) -> str:
        arrays = ("gamma", "beta", "moving_mean", "moving_variance")[0 if scale else 1 :]

        def array(name: str) -> graph.Weights:
            return self.array(layer, name, arrays, (channels,))

        norm = graph.BatchNorm(
            gamma=array("gamma") if scale else np.ones(channels, np.float32),
            beta=array("beta"),
            mean=array("moving_mean"),
            variance=array("moving_variance"),
            epsilon=self.epsilon if epsilon is None else epsilon,
        )
        return self.put(layer, norm, source)

    def relu(self, source: str) -> str:
        return self.put(f"{source}/relu", graph.Relu(), source)

    def pad(self, source: str, vertical: graph.Pair, horizontal: graph.Pair | None = None) -> str:
        return self.put(f"{source}/pad", graph.Pad(vertical, horizontal or vertical), source)

    def pool(self, name: str, kind: Literal["max", "average"], source: str, stride: int) -> str:
        return self.put(name, graph.Pool(kind, (3, 3), (stride, stride), "valid"), source)

    def join(self, name: str, *sources: str) -> str:
        return self.put(name, graph.Concatenate(), *sources)

    def network(self, size: int, output: str) -> graph.Graph:
        return graph.Graph(PICTURE, (size, size, 3), tuple(self.nodes), output)


# --- Inception-ResNet-v1 -------------------------------------------------------------------------

_Branch = tuple[tuple[str, int, tuple[int, int]], ...]
"""Convolutions one after another: name, filters, kernel."""

_BLOCK35: tuple[_Branch, ...] = (
    (("Branch_0_Conv2d_1x1", 32, (1, 1)),),
    (("Branch_1_Conv2d_0a_1x1", 32, (1, 1)), ("Branch_1_Conv2d_0b_3x3", 32, (3, 3))),
    (
        ("Branch_2_Conv2d_0a_1x1", 32, (1, 1)),
        ("Branch_2_Conv2d_0b_3x3", 32, (3, 3)),
        ("Branch_2_Conv2d_0c_3x3", 32, (3, 3)),
    ),
)
_BLOCK17: tuple[_Branch, ...] = (
    (("Branch_0_Conv2d_1x1", 128, (1, 1)),),
    (
        ("Branch_1_Conv2d_0a_1x1", 128, (1, 1)),
        ("Branch_1_Conv2d_0b_1x7", 128, (1, 7)),
        ("Branch_1_Conv2d_0c_7x1", 128, (7, 1)),
    ),
)
_BLOCK8: tuple[_Branch, ...] = (
    (("Branch_0_Conv2d_1x1", 192, (1, 1)),),
    (
        ("Branch_1_Conv2d_0a_1x1", 192, (1, 1)),
        ("Branch_1_Conv2d_0b_1x3", 192, (1, 3)),
        ("Branch_1_Conv2d_0c_3x1", 192, (3, 1)),
    ),
)


def inception_resnet_v1(weights: WeightSource) -> graph.Graph:
    """160x160x3 to as many numbers as `Bottleneck` has columns (128 or 512)."""
    net = _Builder(weights, "inception_resnet_v1", 1e-3)

    def step(
        layer: str,
        source: str,
        shape: tuple[int, int, int, int],
        strides: graph.Pair = (1, 1),
        padding: graph.Padding = "same",
    ) -> str:
        conv = net.conv(layer, source, shape, strides, padding)
        return net.relu(net.norm(f"{layer}_BatchNorm", conv, shape[-1], scale=False))

    def branch(block: str, source: str, channels: int, steps: _Branch) -> str:
        for name, filters, kernel in steps:
            source = step(f"{block}_{name}", source, (*kernel, channels, filters))
            channels = filters
        return source

    def residual(
        block: str, source: str, channels: int, branches: tuple[_Branch, ...], scale: float
    ) -> str:
        ends = [branch(block, source, channels, steps) for steps in branches]
        both = net.join(f"{block}_Concatenate", *ends)
        inner = sum(steps[-1][1] for steps in branches)
        up = net.conv(f"{block}_Conv2d_1x1", both, (1, 1, inner, channels), bias=True)
        return net.put(f"{block}_ScaleSum", graph.Add(scale), source, up)

    x = step("Conv2d_1a_3x3", PICTURE, (3, 3, 3, 32), (2, 2), "valid")
    x = step("Conv2d_2a_3x3", x, (3, 3, 32, 32), padding="valid")
    x = step("Conv2d_2b_3x3", x, (3, 3, 32, 64))
    x = net.pool("MaxPool_3a_3x3", "max", x, 2)
    x = step("Conv2d_3b_1x1", x, (1, 1, 64, 80), padding="valid")
    x = step("Conv2d_4a_3x3", x, (3, 3, 80, 192), padding="valid")
    x = step("Conv2d_4b_3x3", x, (3, 3, 192, 256), (2, 2), "valid")
    for number in range(1, 6):
        x = net.relu(residual(f"Block35_{number}", x, 256, _BLOCK35, 0.17))

    first = step("Mixed_6a_Branch_0_Conv2d_1a_3x3", x, (3, 3, 256, 384), (2, 2), "valid")
    second = step("Mixed_6a_Branch_1_Conv2d_0a_1x1", x, (1, 1, 256, 192))
    second = step("Mixed_6a_Branch_1_Conv2d_0b_3x3", second, (3, 3, 192, 192))
    second = step("Mixed_6a_Branch_1_Conv2d_1a_3x3", second, (3, 3, 192, 256), (2, 2), "valid")
    x = net.join("Mixed_6a", first, second, net.pool("Mixed_6a_Branch_2_MaxPool", "max", x, 2))
    for number in range(1, 11):
        x = net.relu(residual(f"Block17_{number}", x, 896, _BLOCK17, 0.1))

    first = step("Mixed_7a_Branch_0_Conv2d_0a_1x1", x, (1, 1, 896, 256))
    first = step("Mixed_7a_Branch_0_Conv2d_1a_3x3", first, (3, 3, 256, 384), (2, 2), "valid")
    second = step("Mixed_7a_Branch_1_Conv2d_0a_1x1", x, (1, 1, 896, 256))
    second = step("Mixed_7a_Branch_1_Conv2d_1a_3x3", second, (3, 3, 256, 256), (2, 2), "valid")
    third = step("Mixed_7a_Branch_2_Conv2d_0a_1x1", x, (1, 1, 896, 256))
    third = step("Mixed_7a_Branch_2_Conv2d_0b_3x3", third, (3, 3, 256, 256))
    third = step("Mixed_7a_Branch_2_Conv2d_1a_3x3", third, (3, 3, 256, 256), (2, 2), "valid")
    pooled = net.pool("Mixed_7a_Branch_3_MaxPool", "max", x, 2)
    x = net.join("Mixed_7a", first, second, third, pooled)
    for number in range(1, 6):
        x = net.relu(residual(f"Block8_{number}", x, 1792, _BLOCK8, 0.2))
    x = residual("Block8_6", x, 1792, _BLOCK8, 1.0)

    x = net.put("AvgPool", graph.GlobalAverage(), x)
    kernel = net.array("Bottleneck", "kernel", ("kernel",), (1792, ANY))
    numbers = kernel.shape[1]
    x = net.put("Bottleneck", graph.Dense(kernel, np.zeros(numbers, np.float32)), x)
    return net.network(160, net.norm("Bottleneck_BatchNorm", x, numbers, scale=False))


# --- NN4-small2 ----------------------------------------------------------------------------------


def nn4_small2(weights: WeightSource) -> graph.Graph:
    """96x96x3 to 128 numbers."""
    net = _Builder(weights, "nn4_small2", 1e-5)

    def step(
        layer: str, number: str, source: str, shape: tuple[int, int, int, int], stride: int = 1
    ) -> str:
        conv = net.conv(
            f"{layer}_conv{number}", source, shape, (stride, stride), "valid", bias=True
        )
        return net.relu(net.norm(f"{layer}_bn{number}", conv, shape[-1], scale=True))

    def wide(
        layer: str, source: str, kernel: int, channels: tuple[int, int, int], stride: int = 1
    ) -> str:
        """1x1, then kernel x kernel with zeros around."""
        before, inner, after = channels
        x = step(layer, "1", source, (1, 1, before, inner))
        side = kernel // 2
        return step(layer, "2", net.pad(x, (side, side)), (kernel, kernel, inner, after), stride)

    def pooled(
        layer: str, kind: Literal["max", "average"], stride: int, source: str, channels: graph.Pair,
        sides: graph.Pair,
    ) -> str:  # fmt: skip
        """A pool and a 1x1, with zeros around up to the size of the other branches."""
        x = net.pool(f"{layer}_pooled", kind, source, stride)
        return net.pad(step(layer, "", x, (1, 1, *channels)), sides)

    def single(layer: str, source: str, channels: graph.Pair) -> str:
        return step(layer, "", source, (1, 1, *channels))

    conv = net.conv("conv1", net.pad(PICTURE, (3, 3)), (7, 7, 3, 64), (2, 2), "valid", bias=True)
    # Keras's default: the original set no epsilon here.
    x = net.relu(net.norm("bn1", conv, 64, scale=True, epsilon=1e-3))
    x = net.pool("pool1", "max", net.pad(x, (1, 1)), 2)
    x = net.conv("conv2", x, (1, 1, 64, 64), padding="valid", bias=True)
    x = net.relu(net.norm("bn2", x, 64, scale=True))
    x = net.conv("conv3", net.pad(x, (1, 1)), (3, 3, 64, 192), padding="valid", bias=True)
    x = net.relu(net.norm("bn3", x, 192, scale=True))
    x = net.pool("pool3", "max", net.pad(x, (1, 1)), 2)

    x = net.join(
        "inception_3a",
        wide("inception_3a_3x3", x, 3, (192, 96, 128)),
        wide("inception_3a_5x5", x, 5, (192, 16, 32)),
        pooled("inception_3a_pool", "max", 2, x, (192, 32), (3, 4)),
        single("inception_3a_1x1", x, (192, 64)),
    )
    x = net.join(
        "inception_3b",
        wide("inception_3b_3x3", x, 3, (256, 96, 128)),
        wide("inception_3b_5x5", x, 5, (256, 32, 64)),
        pooled("inception_3b_pool", "average", 3, x, (256, 64), (4, 4)),
        single("inception_3b_1x1", x, (256, 64)),
    )
    x = net.join(
        "inception_3c",
        wide("inception_3c_3x3", x, 3, (320, 128, 256), 2),
        wide("inception_3c_5x5", x, 5, (320, 32, 64), 2),
        net.pad(net.pool("inception_3c_pool", "max", x, 2), (0, 1)),
    )
    x = net.join(
        "inception_4a",
        wide("inception_4a_3x3", x, 3, (640, 96, 192)),
        wide("inception_4a_5x5", x, 5, (640, 32, 64)),
        pooled("inception_4a_pool", "average", 3, x, (640, 128), (2, 2)),
        single("inception_4a_1x1", x, (640, 256)),
    )
    x = net.join(
        "inception_4e",
        wide("inception_4e_3x3", x, 3, (640, 160, 256), 2),
        wide("inception_4e_5x5", x, 5, (640, 64, 128), 2),
        net.pad(net.pool("inception_4e_pool", "max", x, 2), (0, 1)),
    )
    x = net.join(
        "inception_5a",
        wide("inception_5a_3x3", x, 3, (1024, 96, 384)),
        pooled("inception_5a_pool", "average", 3, x, (1024, 96), (1, 1)),
        single("inception_5a_1x1", x, (1024, 256)),
    )
    x = net.join(
        "inception_5b",
        wide("inception_5b_3x3", x, 3, (736, 96, 384)),
        pooled("inception_5b_pool", "max", 2, x, (736, 96), (1, 1)),
        single("inception_5b_1x1", x, (736, 256)),
    )
    x = net.put("flatten", graph.Flatten(), net.pool("average", "average", x, 1))
    arrays = ("kernel", "bias")
    kernel = net.array("dense_layer", "kernel", arrays, (736, 128))
    bias = net.array("dense_layer", "bias", arrays, (128,))
    return net.network(96, net.put("dense_layer", graph.Dense(kernel, bias), x))


ARCHITECTURES = {
    "inception_resnet_v1": Architecture(inception_resnet_v1, InputSpec(160, "rgb", "per-image")),
    "nn4_small2": Architecture(nn4_small2, InputSpec(96, "rgb", "fixed", offset=0.0, scale=255.0)),
}
