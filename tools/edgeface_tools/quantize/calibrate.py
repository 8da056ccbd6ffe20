"""Calibrates: runs a float network on real faces and records what quantization needs to know.

Takes in a float TFLite network and aligned crops, hands on a `Calibration`: for every tensor the
range that its int8 form should cover, and for every tensor that weights are applied to the mean of
each channel. With a small file of these numbers a model can be rebuilt byte for byte without the
pictures. It changes no network.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edgeface.pipeline.model_file import InputSpec
from edgeface.pipeline.runtime import default_threads
from edgeface_tools.people.faces import Crops, standardize
from edgeface_tools.people.records import read_record
from edgeface_tools.tflite.flatbuffer import is_constant, name_of, operators, unpack
from edgeface_tools.tflite.operators import WEIGHTED

CALIBRATION_FORMAT = 1
_BINS = 1 << 14
_LEVELS = 255
# Significant digits kept, so that the numbers are the same with and without the file.
_RANGE_DIGITS, _MEAN_DIGITS = 6, 4


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured on `pictures` aligned faces from `measured_on`, each also mirrored."""

    format: int
    measured_on: str
    pictures: int
    ranges: dict[str, tuple[float, float]]
    """By tensor: the smallest and the largest value that its int8 form can hold."""
    means: dict[str, tuple[float, ...]]
    """By tensor that weights are applied to: the mean of each channel."""


def calibrate(
    network: bytes,
    crops: Crops,
    spec: InputSpec,
    measured_on: str,
    progress: Callable[[], None] = lambda: None,
) -> Calibration:
    """Run the float network over the crops and their mirror images."""
    interpreter = interpreter_keeping_tensors(network)
    index = {d["name"]: d["index"] for d in interpreter.get_tensor_details() if d["name"]}
    watched, weighted = _tensors_of(network)
    histograms = {name: _Histogram() for name in watched}
    sums: dict[str, NDArray[np.float64]] = {}
    picture = interpreter.get_input_details()[0]["index"]
    for crop in crops:
        for view in (crop, crop[:, ::-1]):  # faces are turned to either side
            interpreter.set_tensor(picture, standardize(view, spec))
            interpreter.invoke()
            for name, histogram in histograms.items():
                values = interpreter.get_tensor(index[name])
                histogram.add(values)
                if name in weighted:
                    mean = values.reshape(-1, values.shape[-1]).mean(axis=0, dtype=np.float64)
                    sums[name] = sums.get(name, 0.0) + mean / (2 * len(crops))
        progress()
    ranges = {name: histogram.best_range() for name, histogram in histograms.items()}
    return Calibration(
        format=CALIBRATION_FORMAT,
        measured_on=measured_on,
        pictures=len(crops),
        ranges={
            name: (_rounded(low, _RANGE_DIGITS), _rounded(high, _RANGE_DIGITS))
            for name, (low, high) in ranges.items()
        },
        means={
            name: tuple(_rounded(mean, _MEAN_DIGITS) for mean in total)
            for name, total in sums.items()
        },
    )


def encoded(calibration: Calibration) -> bytes:
    """As JSON, one tensor per line."""
    text = msgspec.json.encode(calibration)
    return text.replace(b'],"', b'],\n"').replace(b'{"', b'{\n"') + b"\n"


def load(path: Path) -> Calibration:
    """Read what `encoded` wrote; ModelError for anything else."""
    return read_record(
        path, Calibration, CALIBRATION_FORMAT, "observations", "convert-model observe"
    )


def interpreter_keeping_tensors(network: bytes) -> Interpreter:
    """An interpreter that keeps every tensor, so that they can be read after a run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns that this takes memory
        interpreter = Interpreter(
            model_content=network,
            num_threads=default_threads(),
            experimental_preserve_all_tensors=True,
        )
    interpreter.allocate_tensors()
    return interpreter


def _tensors_of(network: bytes) -> tuple[list[str], set[str]]:
    """Names of the tensors computed at run time, and of those that weights are applied to."""
    model = unpack(network)
    computed = [name_of(model.subgraphs[0].tensors[i]) for i in model.subgraphs[0].inputs]
    weighted = set()
    for operator in operators(model):
        computed += [name_of(tensor) for tensor in operator.outputs]
        if operator.name in WEIGHTED and is_constant(model, operator.inputs[1]):
            weighted.add(name_of(operator.inputs[0]))
    return computed, weighted


class _Histogram:
    """Counts of a tensor's values over [-reach, reach]; reach doubles when a value exceeds it."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)
        self._reach = 2.0**-20
        self._least = self._greatest = 0.0  # zero is always in range: padding needs it exact

    def add(self, values: NDArray[Any]) -> None:
        self._least = min(self._least, float(values.min()))
        self._greatest = max(self._greatest, float(values.max()))
        while max(-self._least, self._greatest) >= self._reach:
            self._double()
        places = (values.ravel() * (_BINS / 2 / self._reach) + _BINS / 2).astype(np.int32)
        self._counts += np.bincount(places, minlength=_BINS)

    def _double(self) -> None:
        quarter = _BINS // 4
        merged = self._counts.reshape(-1, 2).sum(axis=1)
        self._counts = np.concatenate(
            (np.zeros(quarter, np.int64), merged, np.zeros(quarter, np.int64))
        )
        self._reach *= 2

    def best_range(self) -> tuple[float, float]:
        """The part of the measured range whose 255 steps cost least.

        Cutting off the rare extremes makes every step finer. The cost is the cube of the error:
        with the usual square, faces unlike those of the calibration lose too much.
        """
        width = 2 * self._reach / _BINS
        centres = (np.arange(_BINS) + 0.5) * width - self._reach
        seen = self._counts > 0
        centres, weights = centres[seen], self._counts[seen]
        best, least_cost = (self._least, self._greatest), np.inf
        for share in np.linspace(1.0, 0.3, 36):
            low, high = self._least * share, self._greatest * share
            step = (high - low) / _LEVELS
            if step == 0:
                break
            levels = np.rint((centres - low) / step).clip(0, _LEVELS) * step + low
            cost = float(weights @ np.abs(levels - centres) ** 3)
            if cost < least_cost:
                best, least_cost = (low, high), cost
        return best


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")
