"""Makes of TensorFlow's conversion a bare face network: one float picture in, one embedding out.

Takes in the flatbuffer that TensorFlow's converter wrote, hands on one without what the runtime
does itself: casts of the picture at its start, and scaling to unit length at its end. It never
changes what the network computes in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from edgeface.errors import ModelError
from edgeface_tools.tflite.flatbuffer import (
    Operator,
    drop_unused,
    name_of,
    operators,
    pack,
    unpack,
)

_TO_LENGTH = frozenset(
    {"ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "POW", "RESHAPE", "RSQRT", "SQRT", "SQUARE", "SUM"}
)


def cleaned(network: bytes, place: Path) -> bytes:
    """One picture in, one embedding out, without the final scaling to unit length."""
    model = unpack(network)
    graph = model.subgraphs[0]
    if len(model.subgraphs) != 1:
        raise ModelError(f"the network in {place} has branches that depend on its input")
    source, target = (graph.tensors[places[0]] for places in (graph.inputs, graph.outputs))
    match [int(n) for n in source.shape]:
        case [1, height, width, 3] if height == width and height > 1:
            pass
        case other:
            raise ModelError(
                f"the network in {place} takes an input of shape {tuple(other[1:])}; a face "
                "network takes square colour pictures of one size, (size, size, 3)"
            )
    if len(target.shape) != 2 or target.shape[0] != 1:
        raise ModelError(
            f"the network in {place} gives a tensor of shape {tuple(target.shape)}; a face "
            "network gives one row of numbers"
        )
    _refuse_classifier(model, place)
    _drop_casts(model)
    _drop_unit_length(model)
    _drop_last_reshape(model)
    _name_apart(model)
    return pack(model)


def one_output(network: bytes, name: str | None, place: Path) -> bytes:
    """The network with the output of that name alone; as it is where it has one and none is named.

    ModelError where it has several and none is named, or none of that name.
    """
    model = unpack(network)
    graph = model.subgraphs[0]
    named = {name_of(graph.tensors[i]): int(i) for i in graph.outputs}
    if name is None and len(named) == 1:
        return network
    known = ", ".join(f"{one} {tuple(graph.tensors[i].shape)}" for one, i in named.items())
    if name is None:
        raise ModelError(
            f"{place} has {len(named)} outputs; name the embedding's with --layer: {known}"
        )
    if name not in named:
        raise ModelError(f"{place} has no output {name!r}; it has: {known}")
    for signature in model.signatureDefs or []:
        signature.outputs = [e for e in signature.outputs if int(e.tensorIndex) == named[name]]
    _end_at(model, named[name])
    return pack(model)


def _refuse_classifier(model: Any, place: Path) -> None:
    *_, last = operators(model)
    if last.name == "SOFTMAX":
        raise ModelError(
            f"the network in {place} ends in a softmax over {last.outputs[0].shape[-1]} classes, "
            "which is no embedding; name the layer before it with --layer LAYER"
        )


def _drop_casts(model: Any) -> None:
    """Let the network take the float picture itself, not a copy of it as another type."""
    graph = model.subgraphs[0]
    (source,) = graph.inputs
    same = {int(source)}
    kept = []
    for form, operator in zip(list(graph.operators), operators(model), strict=True):
        if operator.name == "CAST" and int(form.inputs[0]) in same:
            same.add(int(form.outputs[0]))
        else:
            form.inputs = [source if int(i) in same else i for i in form.inputs]
            kept.append(form)
    if len(same) > 1:
        graph.operators = kept
        graph.tensors[source].type = schema.TensorType.FLOAT32
        drop_unused(model)


def _drop_last_reshape(model: Any) -> None:
    """A reshape of one row of numbers to one row of numbers does nothing."""
    graph = model.subgraphs[0]
    found = list(operators(model))
    last = found[-1] if found else None
    if last is None or last.name != "RESHAPE" or len(found) == 1:
        return
    before = last.inputs[0]
    if [int(n) for n in before.shape] == [int(n) for n in last.outputs[0].shape]:
        _end_at(model, int(last.form.inputs[0]))
        graph.operators = [form for form in graph.operators if form is not last.form]


def _name_apart(model: Any) -> None:
    """Give each tensor a name of its own: calibration and quantization go by the names."""
    seen: set[str] = set()
    for number, tensor in enumerate(model.subgraphs[0].tensors):
        name = name_of(tensor)
        if not name or name in seen:
            name = f"{name}#{number}"
        seen.add(name)
        tensor.name = name


def _drop_unit_length(model: Any) -> None:
    """End the network before its embedding is scaled to unit length: the runtime does that."""
    graph = model.subgraphs[0]
    found = list(operators(model))
    producers = {int(op.form.outputs[0]): op for op in found}
    end = int(graph.outputs[0])
    last = producers.get(end)
    while (
        last is not None
        and last.name == "RESHAPE"
        and _numbers(last.inputs[0].shape) == (_numbers(last.outputs[0].shape))
        and len(last.inputs[0].shape) == len(last.outputs[0].shape)
    ):
        last = producers.get(int(last.form.inputs[0]))
    before = None
    if last is None:
        return
    if last.name == "L2_NORMALIZATION":
        before = int(last.form.inputs[0])
    elif last.name in ("MUL", "DIV"):
        sides = [int(i) for i in last.form.inputs]
        for value, length in (sides, sides[::-1]):
            if _is_length_of(value, length, producers, graph):
                before = value
    if before is not None:
        _end_at(model, before)


def _end_at(model: Any, tensor: int) -> None:
    """Make a tensor the network's output, and drop what only led on from it."""
    graph = model.subgraphs[0]
    producers = {int(op.form.outputs[0]): op for op in operators(model)}
    graph.outputs = [tensor]
    for signature in model.signatureDefs or []:
        for entry in signature.outputs:
            entry.tensorIndex = tensor
    needed, waiting = set(), [tensor]
    while waiting:
        op = producers.get(waiting.pop())
        if op is not None and id(op.form) not in needed:
            needed.add(id(op.form))
            waiting += [int(i) for i in op.form.inputs]
    graph.operators = [form for form in graph.operators if id(form) in needed]
    drop_unused(model)


def _is_length_of(value: int, length: int, producers: dict[int, Operator], graph: Any) -> bool:
    """Whether `length` is one number made of nothing but `value`, as a vector's length is."""
    if value == length or len(graph.tensors[value].shape) != 2:
        return False
    if _numbers(graph.tensors[length].shape) != 1 or length not in producers:
        return False
    waiting, seen = [length], set()
    while waiting:
        place = waiting.pop()
        if place == value or place in seen or place not in producers:
            continue
        seen.add(place)
        if producers[place].name not in _TO_LENGTH:
            return False
        waiting += [int(i) for i in producers[place].form.inputs]
    return True


def _numbers(shape: Iterable[int]) -> int:
    count = 1
    for length in shape:
        count *= int(length)
    return count
