"""A source as its own framework opens it: to compare with, and to convert what we cannot read.

Takes in a Keras file that `harmless` found to hold no code, hands on an `Opened`: the framework's
own output for raw pixels, and its own conversion to TFLite. A file that tf.keras 2 wrote is opened
by that. It decides nothing about a network and describes nothing.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import ConfigError, ModelError
from edgeface.system.chatter import overheard
from edgeface_tools.source.beginning import beginning
from edgeface_tools.source.harmless import check_config, check_stored
from edgeface_tools.source.hdf5 import opened
from edgeface_tools.source.keras_layers import known_lambda
from edgeface_tools.source.normalization import Takes
from edgeface_tools.tflite.preprocessing import Leading

Rows = NDArray[np.float32]
"""Embeddings as the framework gives them, shape (n, numbers)."""

_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Opened:
    """A network in its own framework: pictures in, one row of numbers each."""

    framework: str
    """Name and version."""
    size: int
    dtype: str
    """Of its input."""
    call: Callable[[Any], Any]
    """A tensor of shape (n, size, size, 3) and `dtype` to one of shape (n, ...)."""
    batch: int | None = None
    """The only number of pictures it takes at once; None for any."""
    kept: Any = None
    """What must live as long as `call` is used."""

    def embeddings(self, crops: NDArray[np.uint8], takes: Takes) -> Rows:
        """The framework's output for BGR pixels, which it gets as it takes them."""
        import tensorflow as tf

        pictures = crops[..., ::-1] if takes.colour == "rgb" else crops
        pictures = np.ascontiguousarray(pictures)
        if not self.takes_whole_numbers:
            floats = tf.constant(pictures, tf.float32)
            if takes.per_image:
                floats = tf.image.per_image_standardization(floats)
            else:
                mean, deviation = (
                    np.array(part, np.float32) for part in (takes.mean, takes.deviation)
                )
                floats = (floats - mean) / deviation
            pictures = floats.numpy()
        each = self.batch or _AT_ONCE
        rows = []
        for start in range(0, len(pictures), each):
            part = pictures[start : start + each]
            missing = each - len(part) if self.batch else 0
            padded = np.concatenate([part, part[:1].repeat(missing, axis=0)])
            found = np.asarray(self.call(tf.cast(padded, self.dtype)), np.float32)
            rows.append(found[: len(part)].reshape(len(part), -1))
        return np.concatenate(rows)

    @property
    def takes_whole_numbers(self) -> bool:
        """Whether its input is of an integer type, so that pixels are meant as they are."""
        return "int" in self.dtype

    def tflite(self) -> tuple[bytes, Leading | None]:
        """TensorFlow's own conversion to float32, for one picture; not cleaned yet.

        With it what the network does to its pixels first: the conversion may not show it.
        """
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2,
        )

        @tf.function(input_signature=[tf.TensorSpec((1, self.size, self.size, 3), tf.float32)])  # type: ignore[untyped-decorator]
        def one_picture(picture: Any) -> Any:
            taken = tf.cast(picture, self.dtype)
            if self.batch:
                taken = tf.repeat(taken, self.batch, axis=0)
            found = self.call(taken)[:1] if self.batch else self.call(taken)
            return tf.reshape(found, (1, -1))

        frozen = convert_variables_to_constants_v2(one_picture.get_concrete_function())
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
        graph = frozen.graph.as_graph_def()
        first = beginning(graph, frozen.inputs[0].op.name)
        return bytes(converter.convert()), first


def open_keras(path: Path, output: str | None = None) -> Opened:
    """A `.keras` file or whole-model HDF5 file in the Keras that wrote it.

    Its output is the network's only one, or that of the layer `output`. ModelError where Keras
    cannot load the file, or must not because it holds code.
    """
    legacy = _check(path)
    with overheard():
        keras = _imported(legacy)
        try:
            with _named(path) as named:
                model = keras.models.load_model(
                    named,
                    custom_objects={"Lambda": _known_lambda(keras)},
                    compile=False,
                    safe_mode=True,
                )
        except Exception as error:  # Keras may raise anything
            raise ModelError(f"Keras cannot load {path} ({_first_line(error)})") from None
    model = _one_picture_in(keras, model, output, path)
    name = "tf.keras" if legacy else "Keras"
    dtype = _dtype_of(model.inputs[0])
    shape = tuple(model.inputs[0].shape)
    return Opened(
        framework=f"{name} {keras.__version__}",
        size=_side(shape, path),
        dtype=dtype,
        call=lambda pictures: model(pictures, training=False),
        batch=shape[0] if shape[0] not in (None, 1) else None,
        kept=model,
    )


def _check(path: Path) -> bool:
    """Whether tf.keras 2 wrote a file; ModelError where it must not be opened by Keras."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            about = json.loads(archive.read("metadata.json"))
            weights = archive.read("model.weights.h5")
        check_config(config, str(path))
        with opened(path, weights) as file:
            check_stored(file)
        return str(about.get("keras_version", "3")).startswith("2")
    with opened(path) as file:
        config = json.loads(file.attrs["model_config"])
        version = file.attrs.get("keras_version", "3")
        check_config(config, str(path))
        check_stored(file)
    text = version.decode() if isinstance(version, bytes) else str(version)
    return text.startswith("2")


def _imported(legacy: bool) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    name = "tf_keras" if legacy else "keras"
    try:
        return import_module(name)
    except ImportError:
        raise ConfigError(f"{name} is missing; run: pip install 'edgeface[convert]'") from None


@contextmanager
def _named(path: Path) -> Iterator[str]:
    """The file under a name by which Keras knows its format: its content decides, not its name."""
    ending = ".keras" if zipfile.is_zipfile(path) else ".h5"
    with tempfile.TemporaryDirectory() as scratch:
        named = Path(scratch) / f"network{ending}"
        named.symlink_to(path.absolute())
        yield str(named)


def _known_lambda(keras: Any) -> type:
    """What stands for a Lambda: the known residual sum, computed without its code."""

    class KnownLambda(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, scale: float = 1.0, inputs: int = 1, **settings: Any) -> None:
            super().__init__(**settings)
            self._scale, self._count = scale, inputs

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            inputs, scale = known_lambda(config)
            if not inputs:
                raise ValueError("a Lambda holds Python code, which is never run")
            return cls(scale, inputs, name=config["name"])

        def call(self, inputs: Any) -> Any:
            if self._count == 2:
                return inputs[0] + inputs[1] * self._scale
            return inputs * self._scale

    return KnownLambda


def _one_picture_in(keras: Any, model: Any, output: str | None, path: Path) -> Any:
    """The model, or the part of it that gives the output wanted."""
    if output is not None:
        return _up_to(keras, model, output, path)
    for what, found in (("input", model.inputs), ("output", model.outputs)):
        if len(found) != 1:
            raise ModelError(
                f"the network in {path} has {len(found)} {what}s; a face network has one, so name "
                f"the layer that gives the embedding with --layer: {', '.join(_candidates(model))}"
            )
    return model


def _up_to(keras: Any, model: Any, output: str, path: Path) -> Any:
    layers = {layer.name: layer for layer in model.layers}
    for layer in list(layers.values()):
        layers |= {one.name: one for one in getattr(layer, "layers", [])} | layers
    if output not in layers:
        raise ModelError(
            f"the network in {path} has no layer {output!r}; it has: "
            f"{', '.join(_candidates(model))}"
        )
    layer = layers[output]
    if hasattr(layer, "layers") and len(layer.inputs) == len(layer.outputs) == 1:
        return layer  # one tower of a network that compares several pictures
    owner = next(
        (one for one in (model, *model.layers) if layer in getattr(one, "layers", ())), model
    )
    for source in owner.inputs:
        try:
            node = layer._inbound_nodes[0]  # the first use of a shared layer
            return keras.Model(source, getattr(node, "output_tensors", node.outputs))
        except (ValueError, AttributeError, IndexError):
            continue
    raise ModelError(
        f"the layer {output!r} in {path} does not depend on one picture alone; name another with "
        f"--layer: {', '.join(_candidates(model))}"
    )


def _candidates(model: Any, most: int = 8) -> list[str]:
    """The last layers that give a row of numbers, or are networks of their own."""
    found = []
    for layer in reversed(model.layers):
        try:
            shape = tuple(layer.output.shape)
        except (AttributeError, ValueError):  # used several times
            shape = tuple(layer.outputs[0].shape) if hasattr(layer, "layers") else ()
        if len(shape) == 2 and type(layer).__name__ != "InputLayer":
            found.append(layer.name)
    return found[:most] or ["none gives one row of numbers"]


def _dtype_of(tensor: Any) -> str:
    return getattr(tensor.dtype, "name", str(tensor.dtype))


def _side(shape: tuple[Any, ...], path: Path) -> int:
    match shape:
        case (_, int(height), int(width), 3) if height == width and height > 1:
            return height
    raise ModelError(
        f"the network in {path} takes an input of shape {shape[1:]}; a face network takes square "
        "colour pictures of one size, (size, size, 3)"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
