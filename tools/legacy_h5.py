"""Reads a whole model saved by Keras 2 (`model.save("x.h5")`) without Keras and without trust.

Takes in a path, hands on a `Network` rebuilt from the recorded layer list and weights. Nothing in
the file is run, and no other file is opened on its behalf. It never simplifies what it reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np

from edgeface.errors import ModelError
from edgeface_tools.graph import Network, Node, Weights, in_order
from edgeface_tools.keras_layers import Layer, operation_of

_LARGEST_WEIGHTS = 1 << 30  # bytes of one array; a face network's has a hundredth of it


class _RecordedLayer(msgspec.Struct, frozen=True):
    class_name: str
    config: dict[str, Any]
    name: str = ""
    inbound_nodes: list[list[list[Any]]] = []


class _ModelConfig(msgspec.Struct, frozen=True):
    layers: list[_RecordedLayer]
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
    except ModelError:
        raise
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
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
            "functional model and save that"
        )
    config = model.config
    for what, found in (("input", config.input_layers), ("output", config.output_layers)):
        if len(found) != 1:
            raise ModelError(
                f"the network in {path} has {len(found)} {what}s; a face network has one"
            )
    input_name, output_name = str(config.input_layers[0][0]), str(config.output_layers[0][0])
    (shape,) = [
        layer.config["batch_input_shape"] for layer in config.layers if layer.name == input_name
    ]
    stored = file["model_weights"]
    nodes = [_node(layer, stored) for layer in config.layers if layer.name != input_name]
    return Network(input_name, _picture_shape(shape[1:], path), in_order(nodes), output_name)


def _node(recorded: _RecordedLayer, stored: h5py.Group) -> Node:
    def weights(name: str) -> Weights:
        return _read_weights(stored, recorded.name, name)

    uses = recorded.inbound_nodes
    inputs = tuple(str(source[0]) for source in uses[0]) if uses else ()
    layer = Layer(recorded.name, recorded.class_name, recorded.config, inputs, weights)
    if len(uses) != 1:
        raise layer.refused(f"it is used {len(uses)} times; once is expected")
    return Node(layer.name, operation_of(layer), inputs)


def _read_weights(stored: h5py.Group, layer: str, name: str) -> Weights:
    """One array of a layer, found by the last part of its name (`conv/kernel:0`)."""
    group = stored[layer]
    for entry in group.attrs["weight_names"]:
        path = entry.decode() if isinstance(entry, bytes) else str(entry)
        if path.rpartition("/")[2].partition(":")[0] == name:
            return _plain_array(group[path], layer)
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


def _picture_shape(shape: list[Any], path: Path) -> tuple[int, int, int]:
    match shape:
        case [int(height), int(width), 3] if height == width:
            return (height, width, 3)
    raise ModelError(
        f"the network in {path} takes an input of shape {tuple(shape)}; a face network takes "
        "square colour pictures, (size, size, 3)"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
