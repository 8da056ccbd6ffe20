"""FaceNet as Keras computes it: the recorded layers by Keras's own classes, weights as stored.

An independent check of the rebuilt network: nothing is folded, and each Lambda is written out as
the sum with its recorded argument.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray


def build(path: Path) -> Any:
    """A keras.Model with the weights of a Keras 2 file; float32, RGB, per-image standardized."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    with h5py.File(path) as file:
        config = json.loads(file.attrs["model_config"])["config"]
        values: dict[str, Any] = {}
        layers: dict[str, Any] = {}
        for recorded in config["layers"]:
            name, kind, settings = recorded["name"], recorded["class_name"], recorded["config"]
            if kind == "InputLayer":
                values[name] = keras.Input(settings["batch_input_shape"][1:])
                continue
            inputs = [values[source[0]] for source in recorded["inbound_nodes"][0]]
            if kind == "Lambda":
                scaled = keras.ops.multiply(inputs[1], settings["arguments"]["scale"])
                values[name] = keras.ops.add(inputs[0], scaled)
                continue
            layers[name] = getattr(keras.layers, kind)(**_settings(kind, settings))
            values[name] = layers[name](inputs if kind == "Concatenate" else inputs[0])
        for name, layer in layers.items():
            group = file["model_weights"][name]
            layer.set_weights([np.array(group[key]) for key in group.attrs["weight_names"]])
    output = values[config["output_layers"][0][0]]
    return keras.Model(values[config["input_layers"][0][0]], output)


def embed(model: Any, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Embeddings of RGB pictures, shape (n, size, size, 3)."""
    found: NDArray[np.float32] = model.predict(pictures, batch_size=32, verbose=0)
    return found


def compiled(model: Any) -> Any:
    """The model as one function of a batch of pictures, many times as fast as layer by layer."""
    import tensorflow

    return tensorflow.function(
        lambda pictures: model(pictures, training=False), reduce_retracing=True
    )


def _settings(kind: str, recorded: dict[str, Any]) -> dict[str, Any]:
    wanted = {
        "Conv2D": ("filters", "kernel_size", "strides", "padding", "use_bias"),
        "BatchNormalization": ("axis", "epsilon", "center", "scale"),
        "Activation": ("activation",),
        "MaxPooling2D": ("pool_size", "strides", "padding"),
        "Concatenate": ("axis",),
        "Dense": ("units", "use_bias"),
        "Dropout": ("rate",),
        "GlobalAveragePooling2D": (),
    }[kind]
    settings = {key: recorded[key] for key in wanted}
    if isinstance(settings.get("axis"), list):
        (settings["axis"],) = settings["axis"]
    return settings
