"""Opens TFLite flatbuffers as objects and writes them back.

Takes in the bytes of a bare network, hands on the schema's object form, or lists its contents;
writes it back with every constant aligned to 16 bytes, as the schema requires. It never interprets
the numbers and never runs a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_ALIGNMENT = 16
_IDENTIFIER = b"TFL3"
_CODE_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}

_TYPE_NAMES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator of a network's only subgraph, with its tensors in the schema's object form."""

    name: str
    """As in the schema: CONV_2D, ADD, ..."""
    version: int
    inputs: tuple[Any, ...]
    """None for an optional input that is left out."""
    outputs: tuple[Any, ...]
    form: Any
    """The schema's own OperatorT."""


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer that aligns the start of its data, which the generated code does not."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802 (the generated code's name)
        data = None
        if self.data is not None:
            content = np.asarray(self.data, np.uint8).tobytes()
            builder.StartVector(1, len(content), _ALIGNMENT)
            builder.head = builder.head - len(content)
            builder.Bytes[builder.head : builder.head + len(content)] = content
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


def unpack(network: bytes) -> Any:
    """The network as the schema's ModelT, with constants stored after the flatbuffer moved in."""
    model = schema.ModelT.InitFromPackedBuf(network)
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(network, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def pack(model: Any) -> bytes:
    """The flatbuffer of a ModelT."""
    for buffer in model.buffers:
        buffer.__class__ = _AlignedBuffer
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def operators(model: Any) -> Iterator[Operator]:
    """The operators in the order in which they run."""
    graph = model.subgraphs[0]
    for form in graph.operators:
        code = model.operatorCodes[form.opcodeIndex]
        # Codes above 127 do not fit the field that old runtimes read.
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        yield Operator(
            name=_CODE_NAMES.get(number, f"CODE_{number}"),
            version=code.version,
            inputs=tuple(graph.tensors[i] if i >= 0 else None for i in form.inputs),
            outputs=tuple(graph.tensors[i] for i in form.outputs),
            form=form,
        )


def ends(model: Any) -> tuple[list[int], list[int]]:
    """The shapes of a network's first input and output."""
    graph = model.subgraphs[0]
    source, target = (graph.tensors[places[0]] for places in (graph.inputs, graph.outputs))
    return [int(n) for n in source.shape], [int(n) for n in target.shape]


def end_types(model: Any) -> tuple[str, str]:
    """The types of a network's first input and output, as NumPy calls them."""
    graph = model.subgraphs[0]
    kinds = [graph.tensors[places[0]].type for places in (graph.inputs, graph.outputs)]
    source, target = (_TYPE_NAMES.get(kind, f"type {kind}") for kind in kinds)
    return source, target


def name_of(tensor: Any) -> str:
    """A tensor's name as text."""
    return tensor.name.decode() if isinstance(tensor.name, bytes) else str(tensor.name)


def is_constant(model: Any, tensor: Any) -> bool:
    """Whether a tensor's values are in the file."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def constant(model: Any, tensor: Any, dtype: type[np.generic]) -> np.ndarray | None:
    """The values of a constant tensor in its shape; None when it is computed at run time."""
    if not is_constant(model, tensor):
        return None
    data = model.buffers[tensor.buffer].data
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtype).reshape(tensor.shape)


def set_code_versions(model: Any, versions: list[int]) -> None:
    """Give each operator its version from `versions`, in order; one code entry per pair."""
    codes: dict[tuple[int, int], int] = {}
    entries: list[Any] = []
    for form, version in zip(model.subgraphs[0].operators, versions, strict=True):
        old = model.operatorCodes[form.opcodeIndex]
        key = (max(old.builtinCode, old.deprecatedBuiltinCode), version)
        if key not in codes:
            codes[key] = len(entries)
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.version = key
            entry.deprecatedBuiltinCode = min(key[0], 127)
            entries.append(entry)
        form.opcodeIndex = codes[key]
    model.operatorCodes = entries


def drop_unused(model: Any) -> None:
    """Remove the tensors that no operator uses and the buffers that no tensor uses."""
    graph = model.subgraphs[0]
    lists = [graph.inputs, graph.outputs]
    lists += [indices for form in graph.operators for indices in (form.inputs, form.outputs)]
    used = sorted({int(i) for indices in lists for i in indices if i >= 0})
    places = {old: new for new, old in enumerate(used)} | {-1: -1}
    graph.tensors = [graph.tensors[i] for i in used]
    graph.inputs = [places[int(i)] for i in graph.inputs]
    graph.outputs = [places[int(i)] for i in graph.outputs]
    for form in graph.operators:
        form.inputs = [places[int(i)] for i in form.inputs]
        form.outputs = [places[int(i)] for i in form.outputs]
    for signature in model.signatureDefs or []:
        for entry in (*signature.inputs, *signature.outputs):
            entry.tensorIndex = places[int(entry.tensorIndex)]
    holders = [*graph.tensors, *(model.metadata or [])]
    kept = sorted({0, *(holder.buffer for holder in holders)})
    moved = {old: new for new, old in enumerate(kept)}
    model.buffers = [model.buffers[i] for i in kept]
    for holder in holders:
        holder.buffer = moved[holder.buffer]
