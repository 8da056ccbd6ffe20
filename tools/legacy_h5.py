"""Reads a whole model saved by Keras 2 (`model.save("x.h5")`) without Keras and without trust.

Takes in a path, hands on a `Network` rebuilt from the recorded layer list and weights. A Lambda
layer carries marshalled bytecode: it is compared byte by byte with the one known form (FaceNet's
residual sum) and never unmarshalled; every other Lambda, and every layer not listed here, is
refused by name. It never simplifies what it reads.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Any

import h5py
import msgspec
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
    Network,
    Node,
    Operation,
    Padding,
    Pair,
    Pool,
    Relu,
    Weights,
)

# The bytecode of `lambda inputs, scale: inputs[0] + inputs[1] * scale` as Python 3.6 marshalled
# it, up to the name of the file it was written in. Compared, never loaded.
_SCALE_SUM = re.compile(
    rb"\xe3\x02\x00{7}\x02\x00{3}\x03\x00{3}S\x00{3}"
    rb"s\x14\x00{3}"
    rb"\|\x00d\x01\x19\x00\|\x00d\x02\x19\x00\|\x01\x14\x00\x17\x00S\x00"
    rb"\)\x03N\xe9\x00{4}\xe9\x01\x00{3}\xa9\x00\)\x02\xda\x06inputs\xda\x05scale"
    rb"r\x03\x00{3}r\x03\x00{3}\xfa.[ -~]{1,200}\xda\x08<lambda>.{4}\xf3\x00{4}",
    re.DOTALL,
)
_LARGEST_WEIGHTS = 1 << 30  # bytes of one layer; a face network has a hundredth of it

Settings = dict[str, Any]


class _Layer(msgspec.Struct, frozen=True):
    class_name: str
    config: Settings
    name: str = ""
    inbound_nodes: list[list[list[Any]]] = []


class _ModelConfig(msgspec.Struct, frozen=True):
    layers: list[_Layer]
    input_layers: list[list[Any]]
    output_layers: list[list[Any]]


class _Recorded(msgspec.Struct, frozen=True):
    class_name: str
    config: _ModelConfig


def read_legacy_h5(path: Path) -> Network:
    """The network in a Keras 2 full-model HDF5 file; ModelError says what cannot be used."""
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read as an HDF5 file ({_first_line(error)}); copy it again"
        ) from None
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{path} is not a whole Keras model as this tool knows it ({_first_line(error)})"
        ) from None


def _read(file: h5py.File, path: Path) -> Network:
    recorded = file.attrs.get("model_config")
    if recorded is None:
        raise ModelError(
            f"{path} holds weights only, without the network; name it with --architecture"
        )
    model = msgspec.json.decode(recorded, type=_Recorded)
    if model.class_name not in ("Model", "Functional"):
        raise ModelError(
            f"{path} holds a Keras {model.class_name}, not a functional model; rebuild it as a "
            "functional model and save it as .keras"
        )
    config = model.config
    for what, found in (("input", config.input_layers), ("output", config.output_layers)):
        if len(found) != 1:
            raise ModelError(
                f"the network in {path} has {len(found)} {what}s; a face network has one"
            )
    layers = {layer.name: layer for layer in config.layers}
    input_name, output_name = str(config.input_layers[0][0]), str(config.output_layers[0][0])
    weights = _WeightReader(file["model_weights"])
    nodes = [
        Node(layer.name, _operation(layer, weights), _inputs(layer))
        for layer in config.layers
        if layer.name != input_name
    ]
    shape = tuple(layers[input_name].config["batch_input_shape"][1:])
    return Network(input_name, _picture_shape(shape, path), _in_order(nodes), output_name)


class _WeightReader:
    """The stored arrays of one layer, by the last part of their names."""

    def __init__(self, group: h5py.Group) -> None:
        self._group = group

    def read(self, layer: str, name: str) -> Weights:
        group = self._group[layer]
        for stored in group.attrs["weight_names"]:
            stored = stored.decode() if isinstance(stored, bytes) else str(stored)
            if stored.rpartition("/")[2].partition(":")[0] == name:
                return _plain_array(group[stored], layer)
        raise ModelError(f"the layer {layer!r} has no stored weights {name!r}")


def _plain_array(dataset: Any, layer: str) -> Weights:
    # External and virtual datasets read other files of this machine into the model.
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise ModelError(f"the weights of the layer {layer!r} are not stored in the file itself")
    if dataset.nbytes > _LARGEST_WEIGHTS or dataset.dtype.kind != "f":
        raise ModelError(
            f"the weights of the layer {layer!r} are {dataset.nbytes} bytes of {dataset.dtype}; "
            "floating-point numbers of at most 1 GiB are expected"
        )
    values = np.asarray(dataset, np.float32)
    if not np.isfinite(values).all():
        raise ModelError(f"the weights of the layer {layer!r} hold numbers that are not finite")
    return values


def _operation(layer: _Layer, weights: _WeightReader) -> Operation:
    config = layer.config
    match layer.class_name:
        case "Conv2D":
            _only_channels_last(layer)
            _expect(layer, "dilation_rate", (1, 1))
            _expect(layer, "activation", "linear")
            _expect(layer, "groups", 1)
            kernel = weights.read(layer.name, "kernel")
            bias = _bias(layer, weights, kernel)
            return Convolution(kernel, bias, _pair(config["strides"]), _padding(layer))
        case "Dense":
            _expect(layer, "activation", "linear")
            kernel = weights.read(layer.name, "kernel")
            return Dense(kernel, _bias(layer, weights, kernel))
        case "BatchNormalization":
            return _batch_norm(layer, weights)
        case "Activation" if config["activation"] == "relu":
            return Relu()
        case "Activation" if config["activation"] == "linear":
            return Identity()
        case "Activation":
            raise _refused(layer, f"its function {config['activation']!r} is not known")
        case "MaxPooling2D" | "AveragePooling2D":
            _only_channels_last(layer)
            kind = "max" if layer.class_name == "MaxPooling2D" else "average"
            size, strides = _pair(config["pool_size"]), _pair(config["strides"])
            return Pool(kind, size, strides, _padding(layer))
        case "GlobalAveragePooling2D":
            _only_channels_last(layer)
            return GlobalAverage()
        case "Concatenate":
            if config["axis"] not in (3, -1):
                raise _refused(layer, f"it joins along axis {config['axis']}, not the channels")
            return Concatenate()
        case "Add":
            return Add()
        case "Dropout":
            return Identity()
        case "Lambda":
            return _scale_sum(layer)
        case _:
            raise _refused(layer, "this tool does not know its kind")


def _scale_sum(layer: _Layer) -> Add:
    """FaceNet's residual sum, recognized by its bytes and its recorded argument."""
    arguments = layer.config.get("arguments")
    known = isinstance(arguments, dict) and list(arguments) == ["scale"] and len(_inputs(layer)) == 2
    try:
        code = base64.b64decode(layer.config["function"][0])
    except (binascii.Error, TypeError, ValueError, LookupError):
        code = b""
    if not known or not _SCALE_SUM.fullmatch(code):
        raise _refused(layer, "it holds Python code that is not known, and is never run")
    return Add(scale=float(arguments["scale"]))


def _batch_norm(layer: _Layer, weights: _WeightReader) -> BatchNorm:
    axis = layer.config["axis"]
    if axis not in (3, -1, [3], [-1]):
        raise _refused(layer, f"it normalizes axis {axis}, not the channels")
    mean = weights.read(layer.name, "moving_mean")
    scale, centre = layer.config["scale"], layer.config["center"]
    return BatchNorm(
        gamma=weights.read(layer.name, "gamma") if scale else np.ones_like(mean),
        beta=weights.read(layer.name, "beta") if centre else np.zeros_like(mean),
        mean=mean,
        variance=weights.read(layer.name, "moving_variance"),
        epsilon=float(layer.config["epsilon"]),
    )


def _bias(layer: _Layer, weights: _WeightReader, kernel: Weights) -> Weights:
    if layer.config["use_bias"]:
        return weights.read(layer.name, "bias")
    return np.zeros(kernel.shape[-1], np.float32)


def _inputs(layer: _Layer) -> tuple[str, ...]:
    if len(layer.inbound_nodes) != 1:
        raise _refused(layer, f"it is used {len(layer.inbound_nodes)} times; once is expected")
    return tuple(str(source[0]) for source in layer.inbound_nodes[0])


def _in_order(nodes: list[Node]) -> tuple[Node, ...]:
    """The nodes sorted so that each comes after its inputs, otherwise as recorded."""
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


def _picture_shape(shape: tuple[Any, ...], path: Path) -> tuple[int, int, int]:
    if len(shape) != 3 or shape[2] != 3 or shape[0] != shape[1] or not isinstance(shape[0], int):
        raise ModelError(
            f"the network in {path} takes an input of shape {shape}; a face network takes square "
            "colour pictures, (size, size, 3)"
        )
    return (shape[0], shape[0], 3)


def _pair(value: Any) -> Pair:
    first, second = (value, value) if isinstance(value, int) else value
    return (int(first), int(second))


def _padding(layer: _Layer) -> Padding:
    padding = layer.config["padding"]
    if padding not in ("same", "valid"):
        raise _refused(layer, f"its padding {padding!r} is not known")
    return padding  # type: ignore[no-any-return]


def _only_channels_last(layer: _Layer) -> None:
    _expect(layer, "data_format", "channels_last")


def _expect(layer: _Layer, setting: str, wanted: Any) -> None:
    found = layer.config.get(setting, wanted)
    found = tuple(found) if isinstance(found, list) else found
    if found != wanted:
        raise _refused(layer, f"its {setting} is {found!r}, only {wanted!r} is supported")


def _refused(layer: _Layer, why: str) -> ModelError:
    return ModelError(f"the layer {layer.name!r} ({layer.class_name}) is refused: {why}")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
