"""Small networks for the tests: saved as Keras 2 saved them, and computed in plain NumPy."""

from __future__ import annotations

import base64
import json
import marshal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SIDE = 24

# What Python 3.6 wrote for FaceNet's `lambda inputs, scale: inputs[0] + inputs[1] * scale`.
SCALE_SUM = (
    "4wIAAAAAAAAAAgAAAAMAAABTAAAAcxQAAAB8AGQBGQB8AGQCGQB8ARQAFwBTACkDTukAAAAA6QEA\n"
    "AACpACkC2gZpbnB1dHPaBXNjYWxlcgMAAAByAwAAAPobLi4vY29kZS9mYWNlbmV0X2tlcmFzX3Yx\n"
    "LnB52gg8bGFtYmRhPloAAADzAAAAAA==\n"
)


@dataclass
class KerasTwo:
    """A functional model in the making; `save` writes it as Keras 2.1 did."""

    seed: int = 0
    layers: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, dict[str, NDArray[np.float32]]] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def picture(self, shape: tuple[Any, ...] = (SIDE, SIDE, 3), name: str = "picture") -> str:
        self.inputs.append(name)
        return self.layer("InputLayer", name, batch_input_shape=[None, *shape])

    def layer(self, kind: str, name: str, *sources: str, **config: Any) -> str:
        uses = [[[source, 0, 0, {}] for source in sources]] if sources else []
        config = {"name": name, "trainable": True, **config}
        self.layers.append(
            {"class_name": kind, "name": name, "config": config, "inbound_nodes": uses}
        )
        return name

    def conv(
        self,
        name: str,
        source: str,
        shape: tuple[int, int, int, int],
        *,
        strides: tuple[int, int] = (1, 1),
        padding: str = "same",
        bias: bool = False,
        **more: Any,
    ) -> str:
        spread = (2 / np.prod(shape[:3])) ** 0.5
        self.weights[name] = {"kernel": self._normal(shape, spread)}
        if bias:
            self.weights[name]["bias"] = self._normal(shape[3:], 0.1)
        config = {
            "filters": shape[3],
            "kernel_size": list(shape[:2]),
            "strides": list(strides),
            "padding": padding,
            "data_format": "channels_last",
            "dilation_rate": [1, 1],
            "activation": "linear",
            "use_bias": bias,
        }
        return self.layer("Conv2D", name, source, **{**config, **more})

    def norm(self, name: str, source: str, channels: int, *, scale: bool = False) -> str:
        self.weights[name] = {
            "beta": self._normal((channels,), 0.3),
            "moving_mean": self._normal((channels,), 0.3),
            "moving_variance": self.random.uniform(0.5, 2, channels).astype(np.float32),
        }
        if scale:
            self.weights[name]["gamma"] = self.random.uniform(0.5, 2, channels).astype(np.float32)
        return self.layer(
            "BatchNormalization",
            name,
            source,
            axis=3 if channels != 8 else -1,
            epsilon=0.001,
            center=True,
            scale=scale,
        )

    def relu(self, name: str, source: str) -> str:
        return self.layer("Activation", name, source, activation="relu")

    def dense(self, name: str, source: str, shape: tuple[int, int]) -> str:
        self.weights[name] = {"kernel": self._normal(shape, (1 / shape[0]) ** 0.5)}
        return self.layer("Dense", name, source, use_bias=False, activation="linear")

    def scale_sum(
        self, name: str, first: str, second: str, scale: float, code: str = SCALE_SUM
    ) -> str:
        function = [code, None, None]
        return self.layer(
            "Lambda",
            name,
            first,
            second,
            function=function,
            function_type="lambda",
            arguments={"scale": scale},
        )

    def save(self, path: Path) -> Path:
        config = {
            "name": "network",
            "layers": self.layers,
            "input_layers": [[name, 0, 0] for name in self.inputs],
            "output_layers": [[name, 0, 0] for name in self.outputs or [self.layers[-1]["name"]]],
        }
        with h5py.File(path, "w") as file:
            file.attrs["keras_version"] = b"2.1.2"
            file.attrs["model_config"] = json.dumps(
                {"class_name": "Model", "config": config}
            ).encode()
            stored = file.create_group("model_weights")
            for layer in self.layers:
                group = stored.create_group(layer["name"])
                arrays = self.weights.get(layer["name"], {})
                names = [f"{layer['name']}/{name}:0" for name in arrays]
                group.attrs["weight_names"] = [name.encode() for name in names]
                for name, array in zip(names, arrays.values(), strict=True):
                    group[name] = array
        return path

    def _normal(self, shape: tuple[int, ...], spread: float) -> NDArray[np.float32]:
        return self.random.normal(0, spread, shape).astype(np.float32)


def small_facenet(seed: int = 0) -> KerasTwo:
    """Every kind of layer that FaceNet has, in one residual block: 24x24x3 to 16 numbers."""
    net = KerasTwo(seed)
    stem = net.conv("stem", net.picture(), (3, 3, 3, 12), strides=(2, 2), padding="valid")
    stem = net.relu("stem_relu", net.norm("stem_norm", stem, 12))
    pool_config = {"pool_size": [3, 3], "strides": [2, 2], "padding": "valid"}
    stem = net.layer("MaxPooling2D", "pool", stem, data_format="channels_last", **pool_config)
    left = net.relu("left_relu", net.norm("left_norm", net.conv("left", stem, (1, 1, 12, 8)), 8))
    right = net.conv("right_a", stem, (1, 5, 12, 6))
    right = net.relu("right_a_relu", net.norm("right_a_norm", right, 6, scale=True))
    right = net.relu("right_b_relu", net.conv("right_b", right, (5, 1, 6, 6), bias=True))
    both = net.layer("Concatenate", "both", left, right, axis=3)
    up = net.conv("up", both, (1, 1, 14, 12), bias=True)
    block = net.relu("block_relu", net.scale_sum("block_sum", stem, up, 0.17))
    flat = net.layer("GlobalAveragePooling2D", "average", block, data_format="channels_last")
    flat = net.layer("Dropout", "dropout", flat, rate=0.2)
    net.norm("embedding", net.dense("bottleneck", flat, (12, 16)), 16)
    net.layers[-1]["config"]["axis"] = -1
    return net


def compute(net: KerasTwo, picture: Array) -> Array:
    """`small_facenet`'s output for one picture, step by step in float64."""
    stem = _relu(_norm(net, "stem_norm", _conv(net, "stem", picture, 2, same=False)))
    stem = np.array(
        [
            [stem[y : y + 3, x : x + 3].max(axis=(0, 1)) for x in range(0, stem.shape[1] - 2, 2)]
            for y in range(0, stem.shape[0] - 2, 2)
        ]
    )
    left = _relu(_norm(net, "left_norm", _conv(net, "left", stem)))
    right = _relu(_norm(net, "right_a_norm", _conv(net, "right_a", stem)))
    right = _relu(_conv(net, "right_b", right))
    up = _conv(net, "up", np.concatenate((left, right), axis=-1))
    average = _relu(stem + up * 0.17).mean(axis=(0, 1))
    return _norm(net, "embedding", average @ net.weights["bottleneck"]["kernel"].astype(float))


def marshalled(expression: str) -> str:
    """A lambda as Keras stores one, from this Python."""
    code = eval(expression).__code__  # noqa: S307 (the tests' own text)
    return base64.b64encode(marshal.dumps(code)).decode()


def _relu(value: Array) -> Array:
    return np.maximum(value, 0)


def _norm(net: KerasTwo, name: str, value: Array) -> Array:
    w = {key: array.astype(float) for key, array in net.weights[name].items()}
    scaled = (value - w["moving_mean"]) / np.sqrt(w["moving_variance"] + 0.001)
    return scaled * w.get("gamma", 1.0) + w["beta"]


def _conv(net: KerasTwo, name: str, value: Array, stride: int = 1, *, same: bool = True) -> Array:
    kernel = net.weights[name]["kernel"].astype(float)
    height, width = kernel.shape[:2]
    if same:  # stride 1, odd sizes
        edges = ((height // 2, height // 2), (width // 2, width // 2), (0, 0))
        value = np.pad(value, edges)
    rows = range(0, value.shape[0] - height + 1, stride)
    columns = range(0, value.shape[1] - width + 1, stride)
    window = [
        [
            np.tensordot(value[y : y + height, x : x + width], kernel, axes=((0, 1, 2), (0, 1, 2)))
            for x in columns
        ]
        for y in rows
    ]
    return np.array(window) + net.weights[name].get("bias", np.float32(0)).astype(float)
