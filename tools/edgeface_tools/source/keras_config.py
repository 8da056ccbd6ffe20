"""Reads a Keras model's recorded layer list as a network, in the dialects of Keras 2 and Keras 3.

Takes in the JSON text of a configuration and a reader of weights, hands on a `Graph`. It opens no
file and runs nothing: a layer whose kind or settings are unknown is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Protocol

import msgspec

from edgeface.errors import ModelError
from edgeface_tools.network.graph import Graph, Node, Unsupported, Weights, in_order
from edgeface_tools.source.keras_layers import Layer, operations_of

_FUNCTIONAL = ("Model", "Functional")
_UNIT_LENGTH = "UnitNormalization"  # the runtime does that to every embedding


class WeightReader(Protocol):
    """Finds a stored array of a layer by its Keras name (kernel, bias, gamma, ...)."""

    def __call__(self, layer: Layer, array: str, /) -> Weights: ...


class _RecordedLayer(msgspec.Struct, frozen=True):
    class_name: str
    config: dict[str, Any]
    name: str = ""
    inbound_nodes: list[Any] = []


class _ModelConfig(msgspec.Struct, frozen=True):
    layers: list[_RecordedLayer]
    input_layers: list[Any] = []
    output_layers: list[Any] = []


class _Recorded(msgspec.Struct, frozen=True):
    class_name: str
    config: _ModelConfig


def layers_of(recorded: str | bytes, place: str) -> list[Layer]:
    """The layers in the order they were saved, without their weights."""
    return [_layer(one, _no_weights) for one in _decode(recorded, place).layers]


def network_of(recorded: str | bytes, weights: WeightReader, place: str) -> Graph:
    """The network that a configuration describes; `place` names the file in errors.

    Raises ModelError for a layer that cannot be expressed, more than one input or output, or an
    input that is not a square colour picture; ValueError and KeyError for an invalid configuration.
    """
    config = _decode(recorded, place)
    inputs, outputs = _names(config.input_layers), _names(config.output_layers)
    for what, found in (("input", inputs), ("output", outputs)):
        if len(found) != 1:
            raise Unsupported(
                f"the network in {place} has {len(found)} {what}s; a face network has one"
            )
    layers = {layer.name: layer for layer in (_layer(one, weights) for one in config.layers)}
    source = layers.pop(inputs[0]).settings
    shape = source.get("batch_input_shape") or source["batch_shape"]
    output = layers[outputs[0]]
    if output.kind == _UNIT_LENGTH:
        if output.settings.get("axis", -1) not in (-1, 1, [-1], [1]):
            raise output.refused("it normalizes along another axis than the embedding's")
        del layers[output.name]
        (last,) = output.inputs
    else:
        last = output.name
    nodes = [node for layer in layers.values() for node in _nodes(layer)]
    return Graph(inputs[0], _picture_shape(shape[1:], place), in_order(nodes), last)


def _decode(recorded: str | bytes, place: str) -> _ModelConfig:
    kind = msgspec.json.decode(recorded, type=_Kind).class_name
    if kind == "Sequential":
        return _chained(msgspec.json.decode(recorded, type=_Recorded).config, place)
    if kind not in _FUNCTIONAL:
        raise ModelError(
            f"{place} holds a Keras {kind}, not a functional model; rebuild it as a functional "
            "model and save that"
        )
    return msgspec.json.decode(recorded, type=_Recorded).config


class _Kind(msgspec.Struct, frozen=True):
    class_name: str


def _chained(config: _ModelConfig, place: str) -> _ModelConfig:
    """A Sequential's layers, each fed by the one before it."""
    layers: list[_RecordedLayer] = []
    for one in config.layers:
        name = str(one.config["name"])
        uses = [[[layers[-1].name, 0, 0]]] if layers else []
        layers.append(msgspec.structs.replace(one, name=name, inbound_nodes=uses))
    if not layers or layers[0].class_name != "InputLayer":
        raise ModelError(f"the network in {place} records no input; build it before you save it")
    return _ModelConfig(layers, [[layers[0].name, 0, 0]], [[layers[-1].name, 0, 0]])


def _names(recorded: list[Any]) -> list[str]:
    """Layer names of `[["a", 0, 0], ...]`, or of the bare `["a", 0, 0]` that Keras 3 writes."""
    if recorded and isinstance(recorded[0], str):
        recorded = [recorded]
    return [str(one[0]) for one in recorded]


def _layer(recorded: _RecordedLayer, weights: WeightReader) -> Layer:
    uses = recorded.inbound_nodes
    layer = Layer(
        name=recorded.name or str(recorded.config["name"]),
        kind=recorded.class_name,
        settings=recorded.config,
        inputs=tuple(_sources(uses[0])) if uses else (),
        weights=lambda array: weights(layer, array),
        uses=len(uses),
    )
    return layer


def _sources(use: Any) -> Iterator[str]:
    """The names of the layers whose output one use of a layer reads, in either dialect."""
    if not isinstance(use, dict):
        if not all(isinstance(source, list) and isinstance(source[0], str) for source in use):
            raise Unsupported("a layer does arithmetic with numbers, not with layers alone")
        yield from (str(source[0]) for source in use)
        return
    waiting = [*reversed(use["args"])]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += reversed(found)
        elif isinstance(found, dict) and found.get("class_name") == "__keras_tensor__":
            yield str(found["config"]["keras_history"][0])
        else:
            raise Unsupported(f"a layer reads {str(found)[:60]!r}, which no other layer gives")


def _nodes(layer: Layer) -> list[Node]:
    """A layer's operations as nodes; the last one has the layer's name."""
    if layer.uses != 1:
        raise layer.refused(f"it is used {layer.uses} times; one use is supported")
    first, *rest = operations_of(layer)
    names = [f"{layer.name}/{i}" for i in range(1, 1 + len(rest))] + [layer.name]
    followers = zip(pairwise(names), rest, strict=True)
    return [
        Node(names[0], first, layer.inputs),
        *(Node(name, operation, (before,)) for (before, name), operation in followers),
    ]


def _picture_shape(shape: list[Any], place: str) -> tuple[int, int, int]:
    match shape:
        case [int(height), int(width), 3] if height == width:
            return (height, width, 3)
    raise Unsupported(
        f"the network in {place} takes an input of shape {tuple(shape)}; a face network takes "
        "square colour pictures, (size, size, 3)"
    )


def _no_weights(layer: Layer, array: str) -> Weights:
    raise KeyError(array)
