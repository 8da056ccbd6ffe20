"""Runs a TFLite network's bytes, for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray


def run(network: bytes, *pictures: NDArray[Any]) -> NDArray[np.float64]:
    """The outputs for pictures of shape (h, w, 3) in float; quantized in and out as the file asks.

    Shape (pictures, n).
    """
    interpreter = Interpreter(model_content=network, num_threads=2)
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    results = []
    for picture in pictures:
        values = picture[None].astype(np.float64)
        scale, zero = source["quantization"]
        if scale:
            limits = np.iinfo(source["dtype"])
            values = np.rint(values / scale + zero).clip(limits.min, limits.max)
        interpreter.set_tensor(source["index"], values.astype(source["dtype"]))
        interpreter.invoke()
        output = interpreter.get_tensor(target["index"])[0].astype(np.float64)
        scale, zero = target["quantization"]
        results.append((output - zero) * scale if scale else output)
    return np.array(results)


def cosines(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Row by row."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    similar: NDArray[np.float64] = (one * other).sum(axis=1) / lengths
    return similar
