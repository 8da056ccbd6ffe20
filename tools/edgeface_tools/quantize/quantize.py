"""From a float32 TFLite network to one of lower precision, weights by channel.

Takes in the float flatbuffer and `Calibration`, hands on the quantized flatbuffer. Biases are
first corrected for the mean effect of rounding the weights; the quantizer (ai-edge-quantizer) is
then given the ranges instead of calibrating itself. It reads no pictures.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import quantizer
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.qtyping import QuantGranularity
from ai_edge_quantizer.qtyping import TFLOperationName as Name
from ai_edge_quantizer.recipe_manager import RecipeManager
from numpy.typing import NDArray

from edgeface.errors import ConfigError, ModelError
from edgeface_tools.quantize.calibrate import Calibration
from edgeface_tools.tflite.flatbuffer import (
    Operator,
    constant,
    drop_unused,
    name_of,
    operators,
    pack,
    set_code_versions,
    unpack,
)
from edgeface_tools.tflite.operators import (
    WEIGHTED,
    minimum_runtime,
    needed_version,
    needs,
    too_new,
)

Precision = Literal["int8", "int16x8", "dynamic", "float16", "float32"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
CALIBRATED: tuple[Precision, ...] = ("int8", "int16x8")
"""The precisions that need calibration."""

Ends = Literal["int8", "float32"]
"""The type of an int8 network's input and output."""

_KINDS = frozenset(name.name for name in Name)
# The best range for 255 levels cuts extremes off; 65,535 levels have room for all of them.
_ROOM_INT16 = 4.0


def quantize(
    network: bytes,
    precision: Precision,
    calibration: Calibration | None = None,
    ends: Ends = "int8",
    wide: Sequence[str] = (),
) -> bytes:
    """A float32 network at a precision; the tensors named in `wide` are made by float operators.

    int8: weights and activations, input and output too unless `ends` is float32. int16x8: int16
    activations, int8 weights. dynamic: int8 weights, activations quantized at run time.
    float16: weights stored in 16 bits, computed in float32.
    """
    model = unpack(network)
    statistics = None
    if precision in CALIBRATED:
        if calibration is None:
            raise ConfigError(
                f"{precision} needs photos of faces to calibrate on; give --calibrate"
            )
        _check_same_network(model, calibration)
        for operator in operators(model):
            if name_of(operator.outputs[0]) not in wide:  # its weights are not rounded
                _correct_bias(model, operator, calibration)
        statistics = _statistics(calibration, _ROOM_INT16 if precision == "int16x8" else 1.0)
    drop_unused(model)
    exact = pack(model)
    kept: frozenset[str] = frozenset()
    while True:
        model = unpack(exact)
        if precision != "float32":
            recipe = _recipe(precision, ends, kept, wide)
            model = unpack(_quantize(exact, recipe, statistics))
        if precision == "int16x8" or wide:
            _scale_freely(model)
        recorded = [operator.version for operator in operators(unpack(exact))]
        versions = [needed_version(operator) for operator in operators(model)]
        if precision == "float32":  # converters know what their own options need
            versions = [max(pair) for pair in zip(recorded, versions, strict=True)]
        set_code_versions(model, versions)
        # An operator may run in int8 on a new runtime only: then it is left in float.
        lacking = {need.name for need in too_new(needs(model))} & _KINDS - kept
        if not lacking or precision == "float32":
            break
        kept |= lacking
    _note_minimum_runtime(model)
    return pack(model)


def _recipe(
    precision: Precision, ends: Ends, kept: Iterable[str] = (), wide: Sequence[str] = ()
) -> list[dict[str, Any]]:
    manager = RecipeManager()
    if precision == "dynamic":
        manager.add_dynamic_config(".*", Name.ALL_SUPPORTED, 8)
        # By channel it would need FULLY_CONNECTED version 12, which tflite-runtime 2.14 lacks.
        whole = QuantGranularity.TENSORWISE
        manager.add_dynamic_config(".*", Name.FULLY_CONNECTED, 8, whole)
    elif precision == "float16":
        casting = AlgorithmName.FLOAT_CASTING
        manager.add_weight_only_config(".*", Name.ALL_SUPPORTED, 16, algorithm_key=casting)
    else:
        bits = 16 if precision == "int16x8" else 8
        manager.add_static_config(".*", Name.ALL_SUPPORTED, bits, 8)
        for end in (Name.INPUT, Name.OUTPUT) if ends == "float32" else ():
            manager.add_quantization_config(".*", end, algorithm_key=AlgorithmName.NO_QUANTIZE)
    for kind in sorted(kept):
        manager.add_quantization_config(".*", Name[kind], algorithm_key=AlgorithmName.NO_QUANTIZE)
    for tensor in wide:
        manager.add_quantization_config(
            f"^{re.escape(tensor)};?$",
            Name.ALL_SUPPORTED,
            algorithm_key=AlgorithmName.NO_QUANTIZE,
        )
    recipe: list[dict[str, Any]] = manager.get_quantization_recipe()
    return recipe


def _statistics(calibration: Calibration, room: float) -> dict[str, Any]:
    return {
        name: {
            "min": np.array([[low * room]], np.float32),
            "max": np.array([[high * room]], np.float32),
        }
        for name, (low, high) in calibration.ranges.items()
    }


def _scale_freely(model: Any) -> None:
    """Mark int16 sums as having scales that are not powers of two, the schema's default."""
    for operator in operators(model):
        if operator.name in ("ADD", "SUB"):
            operator.form.builtinOptions.potScaleInt16 = False


def _check_same_network(model: Any, calibration: Calibration) -> None:
    for operator in operators(model):
        for tensor in operator.outputs:
            if name_of(tensor) not in calibration.ranges:
                raise ModelError(
                    f"the observations are of another network: they lack {name_of(tensor)!r}; "
                    "make them again with: convert-model observe"
                )


def _correct_bias(model: Any, operator: Operator, calibration: Calibration) -> None:
    """Subtract from the bias what the rounded weights add on average.

    Rounding errors of a filter's weights do not cancel when its inputs, being outputs of ReLU, all
    have positive means: the output shifts by a constant (Nagel et al. 2019, "Data-Free Quantization
    Through Weight Equalization and Bias Correction", section 4.2).
    """
    if operator.name not in WEIGHTED or len(operator.inputs) < 3 or operator.inputs[2] is None:
        return
    kernel = constant(model, operator.inputs[1], np.float32)
    bias = constant(model, operator.inputs[2], np.float32)
    means = calibration.means.get(name_of(operator.inputs[0]))
    if kernel is None or bias is None or means is None:
        return
    shift = rounding_shift(operator.name, kernel.astype(np.float64), np.array(means))
    _set_bias(model, operator, (bias - shift).astype(np.float32))


def rounding_shift(
    operator: str, kernel: NDArray[np.float64], means: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The mean change of each output channel when `kernel` is rounded to int8 by channel.

    Kernels are laid out as TFLite does: (outputs, height, width, inputs), (outputs, inputs), and
    (1, height, width, channels) for a depthwise convolution.
    """
    if operator == "DEPTHWISE_CONV_2D":
        kernel = np.moveaxis(kernel, -1, 0)
    flat = kernel.reshape(kernel.shape[0], -1)
    steps = np.abs(flat).max(axis=1, keepdims=True) / 127
    steps[steps == 0] = 1.0
    errors = (np.rint(flat / steps) * steps - flat).reshape(kernel.shape)
    if operator == "DEPTHWISE_CONV_2D":
        each = len(errors) // len(means)  # outputs of one input channel, side by side
        shift: NDArray[np.float64] = errors.reshape(len(errors), -1).sum(axis=1)
        shift *= np.repeat(means, each)
    else:
        shift = errors.sum(axis=tuple(range(1, errors.ndim - 1))) @ means
    return shift


def _set_bias(model: Any, operator: Operator, values: NDArray[np.float32]) -> None:
    """Give one operator its own bias: converters store equal ones once for several operators."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor = schema.TensorT()
    vars(tensor).update(vars(operator.inputs[2]))
    tensor.name = f"{name_of(operator.outputs[0])}/corrected_bias"
    tensor.buffer = len(model.buffers) - 1
    model.subgraphs[0].tensors.append(tensor)
    operator.form.inputs = [*operator.form.inputs]
    operator.form.inputs[2] = len(model.subgraphs[0].tensors) - 1


def _quantize(
    network: bytes, recipe: list[dict[str, Any]], statistics: dict[str, Any] | None
) -> bytes:
    # It logs a lot for a step that takes a fifth of a second.
    said = io.StringIO()
    with contextlib.ExitStack() as quiet:
        quiet.enter_context(contextlib.redirect_stdout(said))
        quiet.enter_context(contextlib.redirect_stderr(said))
        quiet.enter_context(warnings.catch_warnings(action="ignore"))
        engine = quantizer.Quantizer(network, recipe)
        result = engine.quantize(
            statistics, enable_progress_bar=False, enable_progress_report=False
        )
    return bytes(result.quantized_model)


def _note_minimum_runtime(model: Any) -> None:
    """Update the file's own record of its minimum runtime."""
    for entry in model.metadata or []:
        if name_of(entry) == "min_runtime_version":
            text = minimum_runtime(needs(model)).encode().ljust(16, b"\0")
            model.buffers[entry.buffer].data = np.frombuffer(text, np.uint8)
