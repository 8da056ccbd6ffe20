"""What a network does to its pixels before anything else: the preprocessing that it brings along.

Takes in a float flatbuffer, hands on the factor and shift of each channel, and the network without
them where one number serves all channels; or puts such a step in front of a network. It decides
nothing about what the pixels were in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgeface_tools.tflite.flatbuffer import (
    Operator,
    constant,
    drop_unused,
    operators,
    pack,
    unpack,
)

Channels = NDArray[np.float64]
"""Shape (3,), in the network's own order."""

_STEPS = ("ADD", "SUB", "MUL", "DIV")
_PASSIVE = frozenset(
    ("GATHER", "MIRROR_PAD", "PAD", "PADV2", "RESHAPE", "RESIZE_BILINEAR",
     "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SLICE", "STRIDED_SLICE", "TRANSPOSE")
)  # fmt: skip
"""They move pixels and change no value but at the edge."""

_Step = tuple[Operator, Channels, bool]
"""An operator, its constant, and whether the picture is its first input."""


@dataclass(frozen=True, eq=False)
class Leading:
    """x * factor + shift, which a network does first."""

    factor: Channels
    shift: Channels
    alone: bool
    """Whether nothing else reads the picture or comes before (a crop, padding)."""

    @property
    def movable(self) -> bool:
        """Whether one factor and one shift serve, and can be taken out of the network."""
        return self.alone and bool(np.ptp(self.factor) == 0 and np.ptp(self.shift) == 0)

    @property
    def nothing(self) -> bool:
        """Whether it leaves the pixels as they are."""
        return bool((self.factor == 1).all() and (self.shift == 0).all())


def leading(network: bytes) -> Leading | None:
    """The arithmetic with constants at a network's start; None where there is none."""
    model = unpack(network)
    place = int(model.subgraphs[0].inputs[0])
    chain = _chain(model, place)
    if chain:
        return _composed(chain, alone=True)
    waiting, seen = [place], {place}
    while waiting:  # behind a crop, or in one of several branches
        place = waiting.pop()
        for reader in _readers(model, place):
            after = int(reader.form.outputs[0])
            step = _step(model, reader, place)
            if step is not None:
                return _composed([step, *_chain(model, after)], alone=False)
            if reader.name in _PASSIVE and after not in seen:
                seen.add(after)
                waiting.append(after)
    return None


def _composed(chain: list[_Step], *, alone: bool) -> Leading:
    factor, shift = np.ones(3), np.zeros(3)
    for operator, other, first in chain:
        if operator.name == "MUL":
            factor, shift = factor * other, shift * other
        elif operator.name == "DIV":
            factor, shift = factor / other, shift / other
        elif operator.name == "ADD":
            shift = shift + other
        elif first:
            shift = shift - other
        else:
            factor, shift = -factor, other - shift
    return Leading(factor, shift, alone)


def without_leading(network: bytes) -> bytes:
    """The network as it is after its leading arithmetic."""
    model = unpack(network)
    graph = model.subgraphs[0]
    (source,) = (int(i) for i in graph.inputs)
    forms = [operator.form for operator, _, _ in _chain(model, source)]
    end = int(forms[-1].outputs[0])
    graph.operators = [form for form in graph.operators if all(form is not one for one in forms)]
    for form in graph.operators:
        form.inputs = [source if int(i) == end else int(i) for i in form.inputs]
    drop_unused(model)
    return pack(model)


def with_leading(network: bytes, mean: Channels, deviation: Channels) -> bytes:
    """(x - mean) / deviation for each channel, and then the network."""
    model = unpack(network)
    graph = model.subgraphs[0]
    (source,) = (int(i) for i in graph.inputs)
    factor = _constant(model, "normalization/factor", 1 / deviation)
    shift = _constant(model, "normalization/shift", -mean / deviation)
    scaled, ready = (_like(model, source, f"normalization/{n}") for n in ("scaled", "ready"))
    for form in graph.operators:
        form.inputs = [ready if int(i) == source else int(i) for i in form.inputs]
    graph.operators = [
        _operator(model, "MUL", schema.MulOptionsT(), [source, factor], scaled),
        _operator(model, "ADD", schema.AddOptionsT(), [scaled, shift], ready),
        *graph.operators,
    ]
    return pack(model)


def _chain(model: Any, place: int) -> list[_Step]:
    """The arithmetic that alone reads the tensor at `place`, one step after another."""
    found: list[_Step] = []
    while True:
        readers = _readers(model, place)
        step = _step(model, readers[0], place) if len(readers) == 1 else None
        if step is None or place in [int(i) for i in model.subgraphs[0].outputs]:
            return found
        found.append(step)
        place = int(readers[0].form.outputs[0])


def _readers(model: Any, place: int) -> list[Operator]:
    return [one for one in operators(model) if place in [int(i) for i in one.form.inputs]]


def _step(model: Any, reader: Operator, place: int) -> _Step | None:
    """A reader as a step of arithmetic with a constant; None for any other operator."""
    if reader.name not in _STEPS:
        return None
    first = int(reader.form.inputs[0]) == place
    activation = getattr(reader.form.builtinOptions, "fusedActivationFunction", 0)
    values = constant(model, reader.inputs[1 if first else 0], np.float32)
    if values is None or activation or (reader.name == "DIV" and not first):
        return None
    if values.size not in (1, 3) or (values.size == 3 and values.shape[-1] != 3):
        return None
    return reader, np.broadcast_to(values.astype(np.float64).ravel(), 3), first


def _constant(model: Any, name: str, values: Channels) -> int:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.astype(np.float32).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor = schema.TensorT()
    tensor.name, tensor.shape = name, [len(values)]
    tensor.type, tensor.buffer = schema.TensorType.FLOAT32, len(model.buffers) - 1
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _like(model: Any, place: int, name: str) -> int:
    tensor = schema.TensorT()
    tensor.name, tensor.shape = name, [int(n) for n in model.subgraphs[0].tensors[place].shape]
    tensor.type, tensor.buffer = schema.TensorType.FLOAT32, 0
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _operator(model: Any, code: str, options: Any, inputs: list[int], output: int) -> Any:
    entry = schema.OperatorCodeT()
    entry.builtinCode = entry.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, code)
    entry.version = 1
    model.operatorCodes.append(entry)
    form = schema.OperatorT()
    form.opcodeIndex = len(model.operatorCodes) - 1
    form.inputs, form.outputs = inputs, [output]
    form.builtinOptionsType = getattr(
        schema.BuiltinOptions, type(options).__name__.removesuffix("T")
    )
    form.builtinOptions = options
    return form
