"""The kinds of networks: what they are made of, and how their pixels come.

Takes in Keras 3 or tf.keras 2, hands on functional models of a few thousand weights. Weights are
random but not degenerate: biases and moving statistics differ from those of a new layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

SIDE = 32
Body = Callable[[Any, Any], Any]
"""Keras and the picture's tensor to a tensor of shape (n, numbers)."""


def _end(keras: Any, x: Any) -> Any:
    return keras.layers.Dense(16)(keras.layers.GlobalAveragePooling2D()(x))


def _stem(keras: Any, x: Any, activation: Any = "relu") -> Any:
    layers = keras.layers
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return activation(x) if callable(activation) else layers.Activation(activation)(x)


def _activated(activation: str) -> Body:
    def body(keras: Any, x: Any) -> Any:
        x = keras.layers.Conv2D(12, 3, activation=activation)(_stem(keras, x, activation))
        return _end(keras, x)

    return body


def _layered(make: Callable[[Any], Any]) -> Body:
    def body(keras: Any, x: Any) -> Any:
        x = _stem(keras, x, make(keras.layers))
        return _end(keras, make(keras.layers)(keras.layers.Conv2D(12, 3)(x)))

    return body


def _residual(keras: Any, x: Any) -> Any:
    layers = keras.layers
    x = _stem(keras, x)
    y = layers.Conv2D(8, 3, padding="same")(x)
    return _end(keras, layers.ReLU()(layers.Add()([x, y])))


def _sum_of_three(keras: Any, x: Any) -> Any:
    layers = keras.layers
    x = _stem(keras, x)
    return _end(keras, layers.Add()([x, *(layers.Conv2D(8, 3, padding="same")(x) for _ in "ab")]))


def _squeeze(keras: Any, x: Any) -> Any:
    layers = keras.layers
    x = _stem(keras, x)
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(4, 1, activation="relu")(gate)
    gate = layers.Conv2D(8, 1, activation="sigmoid")(gate)
    return _end(keras, layers.Multiply()([x, gate]))


def _separable(keras: Any, x: Any) -> Any:
    return _end(keras, keras.layers.SeparableConv2D(12, 3, strides=2)(_stem(keras, x)))


def _multiplied(keras: Any, x: Any) -> Any:
    return _end(keras, keras.layers.DepthwiseConv2D(3, depth_multiplier=2)(_stem(keras, x)))


def _mobile(keras: Any, x: Any) -> Any:
    layers = keras.layers
    x = _stem(keras, x, layers.ReLU(6.0))
    x = layers.ZeroPadding2D(1)(x)
    x = layers.DepthwiseConv2D(3, strides=2, use_bias=False)(x)
    return _end(keras, layers.ReLU(6.0)(layers.BatchNormalization()(x)))


def _global_depthwise(keras: Any, x: Any) -> Any:
    """MobileFaceNet's head: a depthwise convolution as large as the picture."""
    layers = keras.layers
    x = layers.DepthwiseConv2D(SIDE // 2)(_stem(keras, x))
    return layers.Flatten()(layers.Conv2D(16, 1)(x))


def _flattened(keras: Any, x: Any) -> Any:
    return keras.layers.Dense(16)(
        keras.layers.Flatten()(keras.layers.MaxPooling2D(4)(_stem(keras, x)))
    )


def _pooled(keras: Any, x: Any) -> Any:
    layers = keras.layers
    x = _stem(keras, x)
    x = layers.Concatenate()([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2)(x)])
    return layers.Dense(16)(layers.GlobalMaxPooling2D()(x))


def _vectors(keras: Any, x: Any) -> Any:
    layers = keras.layers
    x = _stem(keras, x)
    both = [layers.GlobalAveragePooling2D()(one) for one in (x, layers.Conv2D(8, 3)(x))]
    return layers.Dense(16)(layers.Concatenate()(both))


def _normed_end(keras: Any, x: Any) -> Any:
    """FaceNet's own end."""
    return keras.layers.BatchNormalization()(_end(keras, _stem(keras, x)))


def _dropped(keras: Any, x: Any) -> Any:
    layers = keras.layers
    x = layers.SpatialDropout2D(0.1)(_stem(keras, x))
    return layers.Dropout(0.4)(_end(keras, layers.GaussianNoise(0.1)(x)))


def _shared(keras: Any, x: Any) -> Any:
    once = keras.layers.Conv2D(8, 3, padding="same", activation="relu")
    return _end(keras, once(once(_stem(keras, x))))


def _nested(keras: Any, x: Any) -> Any:
    source = keras.Input((SIDE, SIDE, 3))
    inner = keras.Model(source, _stem(keras, source), name="backbone")
    return _end(keras, inner(x))


def _upsampled(keras: Any, x: Any) -> Any:
    layers = keras.layers
    x = _stem(keras, x)
    return _end(keras, layers.Add()([x, layers.UpSampling2D(2)(layers.MaxPooling2D(2)(x))]))


def _cropped(keras: Any, x: Any) -> Any:
    return _end(keras, keras.layers.Cropping2D(2)(_stem(keras, x)))


def _layer_normed(keras: Any, x: Any) -> Any:
    return _end(keras, keras.layers.LayerNormalization()(_stem(keras, x)))


def _dilated(keras: Any, x: Any) -> Any:
    return _end(keras, keras.layers.Conv2D(12, 3, dilation_rate=2)(_stem(keras, x)))


def _kept_dims(keras: Any, x: Any) -> Any:
    layers = keras.layers
    x = layers.GlobalAveragePooling2D(keepdims=True)(_stem(keras, x))
    return layers.Flatten()(layers.Conv2D(16, 1)(x))


def _averaged(keras: Any, x: Any) -> Any:
    layers = keras.layers
    x = _stem(keras, x)
    y = layers.Conv2D(8, 3, padding="same")(x)
    return _end(keras, layers.Average()([layers.Maximum()([x, y]), layers.Subtract()([x, y])]))


BODIES: dict[str, Body] = {
    "relu": _activated("relu"),
    "swish": _activated("swish"),
    "tanh": _activated("tanh"),
    "sigmoid": _activated("sigmoid"),
    "elu": _activated("elu"),
    "gelu": _activated("gelu"),
    "softplus": _activated("softplus"),
    "hard sigmoid": _activated("hard_sigmoid"),
    "relu6": _layered(lambda layers: layers.ReLU(6.0)),
    "leaky relu": _layered(lambda layers: layers.LeakyReLU()),
    "prelu": _layered(lambda layers: layers.PReLU(shared_axes=[1, 2], alpha_initializer="ones")),
    "residual": _residual,
    "sum of three": _sum_of_three,
    "squeeze and excite": _squeeze,
    "separable": _separable,
    "depth multiplier": _multiplied,
    "mobile": _mobile,
    "global depthwise": _global_depthwise,
    "flatten": _flattened,
    "pools": _pooled,
    "vectors": _vectors,
    "norm after dense": _normed_end,
    "dropout": _dropped,
    "shared layer": _shared,
    "nested": _nested,
    "upsampling": _upsampled,
    "cropping": _cropped,
    "layer norm": _layer_normed,
    "dilation": _dilated,
    "keepdims": _kept_dims,
    "averages": _averaged,
}


def _rescaled(keras: Any, x: Any) -> Any:
    return keras.layers.Rescaling(1 / 127.5, -1)(x)


def _normalized(keras: Any, x: Any) -> Any:
    return keras.layers.Normalization(mean=[124.0, 116, 104], variance=[3411.0, 3249, 3306])(x)


def _arithmetic(keras: Any, x: Any) -> Any:
    return (x - 127.5) / 128.0


def _cropped_first(keras: Any, x: Any) -> Any:
    return keras.layers.Rescaling(1 / 255)(keras.layers.CenterCrop(SIDE - 4, SIDE - 4)(x))


PREPROCESSED: dict[str, Body] = {
    "rescaling": _rescaled,
    "normalization": _normalized,
    "arithmetic": _arithmetic,
    "crop and rescaling": _cropped_first,
}


def build(keras: Any, kind: str, seed: int = 0, *, batch: int | None = None) -> Any:
    """A model of a kind of `BODIES` or `PREPROCESSED`, its weights random."""
    keras.utils.set_random_seed(seed)
    source = keras.Input((SIDE, SIDE, 3), batch_size=batch)
    if kind in PREPROCESSED:
        output = _end(keras, _stem(keras, PREPROCESSED[kind](keras, source)))
    elif kind == "whole numbers":
        source = keras.Input((SIDE, SIDE, 3), dtype="uint8")
        output = _end(keras, _stem(keras, keras.layers.Rescaling(1 / 255)(source)))
    else:
        output = BODIES[kind](keras, source)
    model = keras.Model(source, output)
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([random.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model
