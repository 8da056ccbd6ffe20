"""Turns a network as data into a Keras model of ordinary layers, and reads its weights back.

Takes in a `Graph`, hands on a functional Keras 3 model that can be trained and saved as `.keras`
without a Lambda or any other code in the file. Batch norms are not trained: they keep their
recorded means (most are folded into convolutions before this). Keras is imported when a model is
built.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np

from edgeface.errors import ModelError
from edgeface_tools.network import graph
from edgeface_tools.network.rewrite import drop_identities

_TRAINED = (graph.Convolution, graph.Depthwise, graph.Dense)


def import_keras() -> Any:
    """Keras on TensorFlow, without its log messages."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    return keras


def as_keras(network: graph.Graph) -> Any:
    """A keras.Model that computes the network in float32; it has the layers' names."""
    keras = import_keras()
    network = drop_identities(network)
    values = {network.input_name: keras.Input(network.input_shape, name=_plain(network.input_name))}
    for node in network.nodes:
        inputs = [values[name] for name in node.inputs]
        values[node.name] = _apply(node.operation, _plain(node.name), inputs)
    return keras.Model(values[network.input_name], values[network.output_name])


def with_weights_of(network: graph.Graph, model: Any) -> graph.Graph:
    """The network with the trained weights of the model that `as_keras` made of it."""
    changed = {}
    for node in network.nodes:
        if isinstance(node.operation, _TRAINED):
            kernel, bias = (
                np.asarray(array, np.float32)
                for array in model.get_layer(_plain(node.name)).get_weights()
            )
            kernel = kernel.reshape(node.operation.kernel.shape)
            changed[node.name] = replace(
                node, operation=replace(node.operation, kernel=kernel, bias=bias)
            )
    return network.map_nodes(changed)


def keras_file(network: graph.Graph) -> bytes:
    """The network as the bytes of a `.keras` file."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "network.keras"
        as_keras(network).save(path)
        return path.read_bytes()


def _plain(name: str) -> str:
    """A name that Keras accepts."""
    return name.replace("/", "--")


@singledispatch
def _apply(operation: graph.Operation, name: str, inputs: list[Any]) -> Any:
    """The operation as Keras layers on Keras tensors, its weights set."""
    raise ModelError(
        f"the layer {name!r} ({type(operation).__name__}) cannot be written as a Keras layer"
    )


@_apply.register
def _(operation: graph.Convolution, name: str, inputs: list[Any]) -> Any:
    height, width, _, outputs = operation.kernel.shape
    layer = import_keras().layers.Conv2D(
        outputs, (height, width), operation.strides, operation.padding, name=name
    )
    return _with_weights(layer, inputs[0], operation.kernel, operation.bias)


@_apply.register
def _(operation: graph.Depthwise, name: str, inputs: list[Any]) -> Any:
    height, width, _ = operation.kernel.shape
    kernel = operation.kernel.reshape(height, width, -1, operation.multiplier)
    layer = import_keras().layers.DepthwiseConv2D(
        (height, width),
        operation.strides,
        operation.padding,
        depth_multiplier=operation.multiplier,
        name=name,
    )
    return _with_weights(layer, inputs[0], kernel, operation.bias)


@_apply.register
def _(operation: graph.Dense, name: str, inputs: list[Any]) -> Any:
    layer = import_keras().layers.Dense(operation.kernel.shape[1], name=name)
    return _with_weights(layer, inputs[0], operation.kernel, operation.bias)


@_apply.register
def _(operation: graph.BatchNorm, name: str, inputs: list[Any]) -> Any:
    layer = import_keras().layers.BatchNormalization(
        epsilon=operation.epsilon, trainable=False, name=name
    )
    arrays = (operation.gamma, operation.beta, operation.mean, operation.variance)
    return _with_weights(layer, inputs[0], *arrays)


@_apply.register
def _(operation: graph.Relu, name: str, inputs: list[Any]) -> Any:
    return import_keras().layers.Activation("relu", name=name)(inputs[0])


@_apply.register
def _(operation: graph.Pool, name: str, inputs: list[Any]) -> Any:
    layers = import_keras().layers
    kind = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}[operation.kind]
    return kind(operation.size, operation.strides, operation.padding, name=name)(inputs[0])


@_apply.register
def _(operation: graph.Pad, name: str, inputs: list[Any]) -> Any:
    around = (operation.vertical, operation.horizontal)
    return import_keras().layers.ZeroPadding2D(around, name=name)(inputs[0])


@_apply.register
def _(operation: graph.Flatten, name: str, inputs: list[Any]) -> Any:
    return import_keras().layers.Flatten(name=name)(inputs[0])


@_apply.register
def _(operation: graph.Scale, name: str, inputs: list[Any]) -> Any:
    layer = import_keras().layers.Rescaling(operation.factor, operation.shift, name=name)
    return layer(inputs[0])


@_apply.register
def _(operation: graph.GlobalAverage, name: str, inputs: list[Any]) -> Any:
    return import_keras().layers.GlobalAveragePooling2D(name=name)(inputs[0])


@_apply.register
def _(operation: graph.Concatenate, name: str, inputs: list[Any]) -> Any:
    return import_keras().layers.Concatenate(name=name)(inputs)


@_apply.register
def _(operation: graph.Add, name: str, inputs: list[Any]) -> Any:
    layers = import_keras().layers
    first, second = inputs
    if operation.scale != 1.0:
        second = layers.Rescaling(operation.scale, name=f"{name}--scaled")(second)
    return layers.Add(name=name)([first, second])


@_apply.register
def _(operation: graph.Identity, name: str, inputs: list[Any]) -> Any:
    return inputs[0]


def _with_weights(layer: Any, value: Any, *arrays: Any) -> Any:
    output = layer(value)
    layer.set_weights(list(arrays))
    return output
