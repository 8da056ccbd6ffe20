"""Translates each Keras layer, from its recorded settings and weights.

Takes in one layer's class, settings and a reader of its weights, hands on an operation of the
network. A layer, or a setting, that is not listed here is refused by name: nothing is guessed and
nothing recorded is ever run. A Lambda has marshalled bytecode; it is compared byte by byte with the
one known form (FaceNet's residual sum) and never unmarshalled.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeface.errors import ModelError
from edgeface_tools.network import graph
from edgeface_tools.network.graph import Unsupported

# The bytecode of `lambda inputs, scale: inputs[0] + inputs[1] * scale` as Python 3.6 marshalled
# it; the file name and the line recorded in it may differ. Compared, never loaded.
_SCALE_SUM = re.compile(
    rb"\xe3\x02\x00{7}\x02\x00{3}\x03\x00{3}S\x00{3}s\x14\x00{3}"
    rb"\|\x00d\x01\x19\x00\|\x00d\x02\x19\x00\|\x01\x14\x00\x17\x00S\x00"
    rb"\)\x03N\xe9\x00{4}\xe9\x01\x00{3}\xa9\x00\)\x02\xda\x06inputs\xda\x05scale"
    rb"r\x03\x00{3}r\x03\x00{3}\xfa.[ -~]{1,200}\xda\x08<lambda>.{4}\xf3\x00{4}",
    re.DOTALL,
)
_CHANNELS = (3, -1, [3], [-1])  # the ways in which the last axis of a picture is written


@dataclass(frozen=True)
class Layer:
    """One recorded layer; `weights` gives a stored array by its name (kernel, bias, gamma, ...)."""

    name: str
    kind: str
    settings: dict[str, Any]
    inputs: tuple[str, ...]
    weights: Callable[[str], graph.Weights]
    uses: int = 1
    """How often the network runs it."""

    def refused(self, why: str) -> Unsupported:
        return Unsupported(f"the layer {self.name!r} ({self.kind}) is refused: {why}")

    def expect(self, setting: str, wanted: Any) -> None:
        """Refuse the layer unless a setting, where it is recorded, has the one known value."""
        found = self.settings.get(setting, wanted)
        found = tuple(found) if isinstance(found, list) else found
        if found != wanted:
            raise self.refused(f"its {setting} is {found!r}, only {wanted!r} is supported")


def operations_of(layer: Layer) -> tuple[graph.Operation, ...]:
    """The layer as operations, in order: itself, and its activation where it has one.

    ModelError names a layer that cannot be expressed.
    """
    read = _READERS.get(layer.kind)
    if read is None:
        raise layer.refused("layers of this kind are not supported")
    operation = read(layer)
    if layer.kind in _WEIGHTED and layer.settings.get("activation", "linear") != "linear":
        return (operation, _activation(layer))
    return (operation,)


def stored_arrays(layer: Layer) -> list[str]:
    """The names of a layer's arrays in the order in which Keras 3 numbers them."""
    if layer.kind == "BatchNormalization":
        learned = [("gamma", "scale"), ("beta", "center")]
        names = [name for name, setting in learned if layer.settings[setting]]
        return [*names, "moving_mean", "moving_variance"]
    if layer.kind in _WEIGHTED:
        kernel = "depthwise_kernel" if layer.kind == "DepthwiseConv2D" else "kernel"
        return [kernel, "bias"] if layer.settings["use_bias"] else [kernel]
    return []


def _convolution(layer: Layer) -> graph.Operation:
    layer.expect("data_format", "channels_last")
    layer.expect("dilation_rate", (1, 1))
    layer.expect("groups", 1)
    kernel = layer.weights("kernel")
    strides = _pair(layer.settings["strides"])
    return graph.Convolution(kernel, _bias(layer, kernel.shape[-1]), strides, _padding(layer))


def _depthwise(layer: Layer) -> graph.Operation:
    layer.expect("data_format", "channels_last")
    layer.expect("dilation_rate", (1, 1))
    kernel = layer.weights("depthwise_kernel")
    height, width, channels, multiplier = kernel.shape
    return graph.Depthwise(
        kernel=kernel.reshape(height, width, channels * multiplier),
        bias=_bias(layer, channels * multiplier),
        multiplier=multiplier,
        strides=_pair(layer.settings["strides"]),
        padding=_padding(layer),
    )


def _dense(layer: Layer) -> graph.Operation:
    kernel = layer.weights("kernel")
    return graph.Dense(kernel, _bias(layer, kernel.shape[-1]))


def _batch_norm(layer: Layer) -> graph.Operation:
    axis, mean = layer.settings["axis"], layer.weights("moving_mean")
    if axis not in (*_CHANNELS, 1, [1]):
        raise layer.refused(f"it normalizes axis {axis}, not the channels")
    return graph.BatchNorm(
        gamma=layer.weights("gamma") if layer.settings["scale"] else np.ones_like(mean),
        beta=layer.weights("beta") if layer.settings["center"] else np.zeros_like(mean),
        mean=mean,
        variance=layer.weights("moving_variance"),
        epsilon=float(layer.settings["epsilon"]),
        of_vectors=axis in (1, [1]),
    )


def _activation(layer: Layer) -> graph.Operation:
    function = layer.settings["activation"]
    if function == "relu":
        return graph.Relu()
    if function == "linear":
        return graph.Identity()
    raise layer.refused(f"its function {function!r} is not known")


def _relu(layer: Layer) -> graph.Operation:
    layer.expect("max_value", None)
    layer.expect("negative_slope", 0.0)
    layer.expect("threshold", 0.0)
    return graph.Relu()


def _zero_padding(layer: Layer) -> graph.Operation:
    layer.expect("data_format", "channels_last")
    match layer.settings["padding"]:
        case int(side):
            return graph.Pad((side, side), (side, side))
        case [int(vertical), int(horizontal)]:
            return graph.Pad((vertical, vertical), (horizontal, horizontal))
        case [vertical, horizontal]:
            return graph.Pad(_pair(vertical), _pair(horizontal))
        case other:
            raise layer.refused(f"its padding {other!r} is not known")


def _flatten(layer: Layer) -> graph.Operation:
    layer.expect("data_format", "channels_last")
    return graph.Flatten()


def _rescaling(layer: Layer) -> graph.Operation:
    factor, shift = layer.settings["scale"], layer.settings.get("offset", 0.0)
    if not isinstance(factor, int | float) or not isinstance(shift, int | float):
        raise layer.refused("it scales each channel by its own factor; one factor is supported")
    return graph.Scale(float(factor), float(shift))


def _scaled_sum(layer: Layer) -> graph.Operation:
    """The residual sum of Keras's own Inception-ResNet-v2."""
    return graph.Add(scale=float(layer.settings["scale"]))


def _max_pool(layer: Layer) -> graph.Operation:
    layer.expect("data_format", "channels_last")
    size, strides = _pair(layer.settings["pool_size"]), _pair(layer.settings["strides"])
    return graph.Pool("max", size, strides, _padding(layer))


def _average_pool(layer: Layer) -> graph.Operation:
    layer.expect("data_format", "channels_last")
    size, strides = _pair(layer.settings["pool_size"]), _pair(layer.settings["strides"])
    return graph.Pool("average", size, strides, _padding(layer))


def _global_average(layer: Layer) -> graph.Operation:
    layer.expect("data_format", "channels_last")
    layer.expect("keepdims", False)
    return graph.GlobalAverage()


def _concatenate(layer: Layer) -> graph.Operation:
    axis = layer.settings["axis"]
    if axis not in (*_CHANNELS, 1):
        raise layer.refused(f"it joins along axis {axis}, not the channels")
    return graph.Concatenate(of_vectors=axis == 1)


def _add(layer: Layer) -> graph.Operation:
    return graph.Add()


def _dropout(layer: Layer) -> graph.Operation:
    return graph.Identity()


def _lambda(layer: Layer) -> graph.Operation:
    """FaceNet's residual scaling, recognized by its bytes or its name, with its argument."""
    inputs, scale = known_lambda(layer.settings)
    if inputs and inputs == len(layer.inputs):
        return graph.Add(scale=scale) if inputs == 2 else graph.Scale(scale)
    raise ModelError(
        f"the layer {layer.name!r} (Lambda) is refused: it holds Python code, which is never run; "
        "end the network before it with --layer LAYER, or save it with model.export() and give "
        "that folder"
    )


def known_lambda(settings: Any) -> tuple[int, float]:
    """How many tensors a known Lambda reads, and its scale; (0, 0) for any other."""
    if not isinstance(settings, dict):
        return (0, 0.0)
    function, arguments = settings.get("function"), settings.get("arguments")
    if isinstance(arguments, dict) and list(arguments) == ["scale"]:
        scale = arguments["scale"]
        if isinstance(scale, int | float):
            if _SCALE_SUM.fullmatch(_bytecode(function)):
                return (2, float(scale))
            if function == "scaling":  # a name without code
                return (1, float(scale))
    return (0, 0.0)


def _bytecode(function: Any) -> bytes:
    try:
        return base64.b64decode(function[0])
    except (binascii.Error, TypeError, ValueError, LookupError):
        return b""


_WEIGHTED = ("Conv2D", "Dense", "DepthwiseConv2D")
_READERS: dict[str, Callable[[Layer], graph.Operation]] = {
    "Activation": _activation,
    "Add": _add,
    "AveragePooling2D": _average_pool,
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv2D": _convolution,
    "Dense": _dense,
    "CustomScaleLayer": _scaled_sum,
    "DepthwiseConv2D": _depthwise,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global_average,
    "Lambda": _lambda,
    "MaxPooling2D": _max_pool,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "ZeroPadding2D": _zero_padding,
}


def _bias(layer: Layer, outputs: int) -> graph.Weights:
    if layer.settings["use_bias"]:
        return layer.weights("bias")
    return np.zeros(outputs, np.float32)


def _pair(value: Any) -> graph.Pair:
    first, second = (value, value) if isinstance(value, int) else value
    return (int(first), int(second))


def _padding(layer: Layer) -> graph.Padding:
    match layer.settings["padding"]:
        case "same":
            return "same"
        case "valid":
            return "valid"
        case other:
            raise layer.refused(f"its padding {other!r} is not known")
