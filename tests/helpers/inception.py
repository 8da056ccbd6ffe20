"""Inception-ResNet-v1 built with Keras's own layers, for weights that the tests generate.

Written from the paper's figures and the layer names of the 2018 conversion; shares no code with the
tool. The residual's scale is a Rescaling layer, since a Lambda is refused in Keras 3 files.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

_Step = tuple[str, int, int | tuple[int, int]]  # name, filters, kernel


def build(numbers: int, seed: int = 0) -> Any:  # noqa: PLR0915 (a network is a list)
    """A keras.Model with random weights, 160x160x3 to `numbers`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras
    from keras import layers

    def step(
        x: Any, filters: int, kernel: Any, name: str, strides: int = 1, padding: str = "same"
    ) -> Any:
        conv = layers.Conv2D(
            filters, kernel, strides=strides, padding=padding, use_bias=False, name=name
        )
        norm = layers.BatchNormalization(epsilon=0.001, scale=False, name=f"{name}_BatchNorm")
        return layers.Activation("relu", name=f"{name}_Activation")(norm(conv(x)))

    def residual(x: Any, block: str, scale: float, branches: Any, *, relu: bool = True) -> Any:
        ends = []
        for steps in branches:
            end = x
            for name, filters, kernel in steps:
                end = step(end, filters, kernel, f"{block}_{name}")
            ends.append(end)
        up = layers.Conv2D(x.shape[-1], 1, name=f"{block}_Conv2d_1x1")(layers.Concatenate()(ends))
        x = layers.Add()([x, layers.Rescaling(scale)(up)])
        return layers.Activation("relu")(x) if relu else x

    x = source = keras.Input((160, 160, 3))
    x = step(x, 32, 3, "Conv2d_1a_3x3", 2, "valid")
    x = step(x, 32, 3, "Conv2d_2a_3x3", padding="valid")
    x = step(x, 64, 3, "Conv2d_2b_3x3")
    x = layers.MaxPooling2D(3, 2)(x)
    x = step(x, 80, 1, "Conv2d_3b_1x1", padding="valid")
    x = step(x, 192, 3, "Conv2d_4a_3x3", padding="valid")
    x = step(x, 256, 3, "Conv2d_4b_3x3", 2, "valid")
    a: list[_Step] = [("Branch_0_Conv2d_1x1", 32, 1)]
    b: list[_Step] = [("Branch_1_Conv2d_0a_1x1", 32, 1), ("Branch_1_Conv2d_0b_3x3", 32, 3)]
    c = [("Branch_2_Conv2d_0a_1x1", 32, 1), ("Branch_2_Conv2d_0b_3x3", 32, 3)]
    c += [("Branch_2_Conv2d_0c_3x3", 32, 3)]
    for number in range(5):
        x = residual(x, f"Block35_{number + 1}", 0.17, (a, b, c))
    first = step(x, 384, 3, "Mixed_6a_Branch_0_Conv2d_1a_3x3", 2, "valid")
    second = step(x, 192, 1, "Mixed_6a_Branch_1_Conv2d_0a_1x1")
    second = step(second, 192, 3, "Mixed_6a_Branch_1_Conv2d_0b_3x3")
    second = step(second, 256, 3, "Mixed_6a_Branch_1_Conv2d_1a_3x3", 2, "valid")
    x = layers.Concatenate()([first, second, layers.MaxPooling2D(3, 2)(x)])
    a = [("Branch_0_Conv2d_1x1", 128, 1)]
    b = [("Branch_1_Conv2d_0a_1x1", 128, 1), ("Branch_1_Conv2d_0b_1x7", 128, (1, 7))]
    b += [("Branch_1_Conv2d_0c_7x1", 128, (7, 1))]
    for number in range(10):
        x = residual(x, f"Block17_{number + 1}", 0.1, (a, b))
    ends = []
    for branch, filters in enumerate((384, 256, 256)):
        end = step(x, 256, 1, f"Mixed_7a_Branch_{branch}_Conv2d_0a_1x1")
        if branch == 2:
            end = step(end, 256, 3, "Mixed_7a_Branch_2_Conv2d_0b_3x3")
        name = f"Mixed_7a_Branch_{branch}_Conv2d_1a_3x3"
        ends.append(step(end, filters, 3, name, 2, "valid"))
    x = layers.Concatenate()([*ends, layers.MaxPooling2D(3, 2)(x)])
    a = [("Branch_0_Conv2d_1x1", 192, 1)]
    b = [("Branch_1_Conv2d_0a_1x1", 192, 1), ("Branch_1_Conv2d_0b_1x3", 192, (1, 3))]
    b += [("Branch_1_Conv2d_0c_3x1", 192, (3, 1))]
    for number in range(5):
        x = residual(x, f"Block8_{number + 1}", 0.2, (a, b))
    x = residual(x, "Block8_6", 1.0, (a, b), relu=False)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    x = layers.Dense(numbers, use_bias=False, name="Bottleneck")(x)
    x = layers.BatchNormalization(epsilon=0.001, scale=False, name="Bottleneck_BatchNorm")(x)
    model = keras.Model(source, x)
    random = np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights([_random(random, weight) for weight in layer.weights])
    return model


def _random(random: np.random.Generator, weight: Any) -> np.ndarray:
    shape = tuple(weight.shape)
    if len(shape) > 1:
        return random.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32)
    if weight.name == "moving_variance":
        return random.uniform(0.7, 1.5, shape).astype(np.float32)
    return random.normal(0, 0.2, shape).astype(np.float32)
