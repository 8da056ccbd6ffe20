"""What each Keras layer means, from its recorded settings and weights.

Takes in one layer's class, settings and a reader of its weights, hands on an operation of the
network. A layer, or a setting, that is not listed here is refused by name: nothing is guessed and
nothing recorded is ever run. A Lambda carries marshalled bytecode; it is compared byte by byte with
the one known form (FaceNet's residual sum) and never unmarshalled.
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
from edgeface_tools.graph import (
    Add,
    BatchNorm,
    Concatenate,
    Convolution,
    Dense,
    GlobalAverage,
    Identity,
    Operation,
    Padding,
    Pair,
    Pool,
    Relu,
    Weights,
)

# The bytecode of `lambda inputs, scale: inputs[0] + inputs[1] * scale` as Python 3.6 marshalled
# it; the name of the file it was written in and its line there may differ. Compared, never loaded.
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
    weights: Callable[[str], Weights]

    def refused(self, why: str) -> ModelError:
        return ModelError(f"the layer {self.name!r} ({self.kind}) is refused: {why}")

    def expect(self, setting: str, wanted: Any) -> None:
        """Refuse the layer unless a setting, where it is recorded, has the one known value."""
        found = self.settings.get(setting, wanted)
        found = tuple(found) if isinstance(found, list) else found
        if found != wanted:
            raise self.refused(f"its {setting} is {found!r}, only {wanted!r} is supported")


def operation_of(layer: Layer) -> Operation:
    """The layer as an operation; ModelError names a layer that cannot be one."""
    read = _READERS.get(layer.kind)
    if read is None:
        raise layer.refused("this tool does not know its kind")
    return read(layer)


def _convolution(layer: Layer) -> Operation:
    layer.expect("data_format", "channels_last")
    layer.expect("dilation_rate", (1, 1))
    layer.expect("activation", "linear")
    layer.expect("groups", 1)
    kernel = layer.weights("kernel")
    strides = _pair(layer.settings["strides"])
    return Convolution(kernel, _bias(layer, kernel), strides, _padding(layer))


def _dense(layer: Layer) -> Operation:
    layer.expect("activation", "linear")
    kernel = layer.weights("kernel")
    return Dense(kernel, _bias(layer, kernel))


def _batch_norm(layer: Layer) -> Operation:
    axis, mean = layer.settings["axis"], layer.weights("moving_mean")
    if axis not in _CHANNELS:
        raise layer.refused(f"it normalizes axis {axis}, not the channels")
    return BatchNorm(
        gamma=layer.weights("gamma") if layer.settings["scale"] else np.ones_like(mean),
        beta=layer.weights("beta") if layer.settings["center"] else np.zeros_like(mean),
        mean=mean,
        variance=layer.weights("moving_variance"),
        epsilon=float(layer.settings["epsilon"]),
    )


def _activation(layer: Layer) -> Operation:
    function = layer.settings["activation"]
    if function == "relu":
        return Relu()
    if function == "linear":
        return Identity()
    raise layer.refused(f"its function {function!r} is not known")


def _max_pool(layer: Layer) -> Operation:
    layer.expect("data_format", "channels_last")
    size, strides = _pair(layer.settings["pool_size"]), _pair(layer.settings["strides"])
    return Pool("max", size, strides, _padding(layer))


def _average_pool(layer: Layer) -> Operation:
    layer.expect("data_format", "channels_last")
    size, strides = _pair(layer.settings["pool_size"]), _pair(layer.settings["strides"])
    return Pool("average", size, strides, _padding(layer))


def _global_average(layer: Layer) -> Operation:
    layer.expect("data_format", "channels_last")
    layer.expect("keepdims", False)
    return GlobalAverage()


def _concatenate(layer: Layer) -> Operation:
    axis = layer.settings["axis"]
    if axis not in _CHANNELS:
        raise layer.refused(f"it joins along axis {axis}, not the channels")
    return Concatenate()


def _add(layer: Layer) -> Operation:
    return Add()


def _dropout(layer: Layer) -> Operation:
    return Identity()


def _lambda(layer: Layer) -> Operation:
    """FaceNet's residual sum, recognized by its bytes and its recorded argument."""
    arguments = layer.settings.get("arguments")
    try:
        code = base64.b64decode(layer.settings["function"][0])
    except (binascii.Error, TypeError, ValueError, LookupError):
        code = b""
    known = isinstance(arguments, dict) and list(arguments) == ["scale"]
    if not (known and len(layer.inputs) == 2 and _SCALE_SUM.fullmatch(code)):
        raise layer.refused("it holds Python code that is not known, and is never run")
    return Add(scale=float(layer.settings["arguments"]["scale"]))


_READERS: dict[str, Callable[[Layer], Operation]] = {
    "Activation": _activation,
    "Add": _add,
    "AveragePooling2D": _average_pool,
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv2D": _convolution,
    "Dense": _dense,
    "Dropout": _dropout,
    "GlobalAveragePooling2D": _global_average,
    "Lambda": _lambda,
    "MaxPooling2D": _max_pool,
}


def _bias(layer: Layer, kernel: Weights) -> Weights:
    if layer.settings["use_bias"]:
        return layer.weights("bias")
    return np.zeros(kernel.shape[-1], np.float32)


def _pair(value: Any) -> Pair:
    first, second = (value, value) if isinstance(value, int) else value
    return (int(first), int(second))


def _padding(layer: Layer) -> Padding:
    match layer.settings["padding"]:
        case "same":
            return "same"
        case "valid":
            return "valid"
        case other:
            raise layer.refused(f"its padding {other!r} is not known")
