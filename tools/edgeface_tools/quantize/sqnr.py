"""What quantization costs each layer: the ratio of signal to quantization noise.

Takes in the float and the quantized form of one network and some crops, hands on a ratio for each
tensor that both compute. It changes nothing and averages nothing over layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.model_file import InputSpec
from edgeface_tools.people.faces import Crops, standardize
from edgeface_tools.quantize.calibrate import interpreter_keeping_tensors
from edgeface_tools.tflite.flatbuffer import name_of, operators, unpack


class LayerNoise(msgspec.Struct, frozen=True):
    """One layer's output, quantized against float."""

    layer: str
    operator: str
    sqnr_db: float
    """10 log10 of the float values' power over that of the error, earlier layers' included."""


def layer_noise(
    network: bytes,
    quantized: bytes,
    crops: Crops,
    spec: InputSpec,
    progress: Callable[[], None] = lambda: None,
) -> list[LayerNoise]:
    """SQNR of every layer's output over `crops`, in the order in which the layers run."""
    exact, rounded = interpreter_keeping_tensors(network), interpreter_keeping_tensors(quantized)
    places = [
        {d["name"]: d for d in interpreter.get_tensor_details() if d["name"]}
        for interpreter in (exact, rounded)
    ]
    kinds = {
        name_of(operator.outputs[0]): operator.name
        for operator in operators(unpack(network))
        if name_of(operator.outputs[0]) in places[1]
    }
    signal, noise = dict.fromkeys(kinds, 0.0), dict.fromkeys(kinds, 0.0)
    for crop in crops:
        picture = standardize(crop, spec)
        for interpreter in (exact, rounded):
            source = interpreter.get_input_details()[0]
            interpreter.set_tensor(source["index"], _quantized(picture, source))
            interpreter.invoke()
        for name in kinds:
            wanted = exact.get_tensor(places[0][name]["index"]).astype(np.float64)
            found = _dequantized(rounded.get_tensor(places[1][name]["index"]), places[1][name])
            signal[name] += float((wanted**2).sum())
            noise[name] += float(((wanted - found) ** 2).sum())
        progress()
    return [
        LayerNoise(name, kind, _decibels(signal[name], noise[name])) for name, kind in kinds.items()
    ]


def _quantized(picture: NDArray[np.float32], tensor: dict[str, Any]) -> NDArray[Any]:
    scale, zero = tensor["quantization"]
    kind = np.dtype(tensor["dtype"])
    if not scale:
        return picture.astype(kind)
    limits = np.iinfo(kind)
    levels: NDArray[Any] = np.rint(picture / scale + zero).clip(limits.min, limits.max)
    return levels.astype(kind)


def _dequantized(values: NDArray[Any], tensor: dict[str, Any]) -> NDArray[np.float64]:
    scale, zero = tensor["quantization"]
    plain = values.astype(np.float64)
    return (plain - zero) * scale if scale else plain


def _decibels(signal: float, noise: float) -> float:
    """At most 150, since an error of 0 has no logarithm."""
    if signal <= 0:
        return 150.0 if noise <= 0 else 0.0
    return round(min(150.0, 10 * float(np.log10(signal / max(noise, signal * 1e-15)))), 2)
