"""Reads a TensorFlow SavedModel folder into a float32 TFLite network.

Takes in a folder, hands on the bytes of a bare flatbuffer. This is the only source that needs
TensorFlow (the `convert` extra). Its graph is code, so it is checked first and refused if it holds
an operation that a face network does not need, such as one that reads or writes files.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from edgeface.errors import ConfigError, ModelError
from edgeface_tools.tflite.flatbuffer import Operator, drop_unused, operators, pack, unpack

GRAPH = "saved_model.pb"

# Arithmetic on tensors, and how TensorFlow 2 stores variables and calls functions. The names of
# files that the last group saves and restores are set by the loader, inside the folder.
_KNOWN = frozenset(
    [
        "Add",
        "AddN",
        "AddV2",
        "All",
        "Any",
        "AvgPool",
        "BiasAdd",
        "BroadcastTo",
        "Cast",
        "Concat",
        "ConcatV2",
        "Const",
        "Conv2D",
        "DepthwiseConv2dNative",
        "Div",
        "Elu",
        "Erf",
        "Exp",
        "ExpandDims",
        "Fill",
        "FusedBatchNorm",
        "FusedBatchNormV2",
        "FusedBatchNormV3",
        "GatherV2",
        "Identity",
        "IdentityN",
        "L2Loss",
        "LeakyRelu",
        "MatMul",
        "BatchMatMulV2",
        "Max",
        "MaxPool",
        "MaxPoolV2",
        "Maximum",
        "Mean",
        "Min",
        "Minimum",
        "Mul",
        "Neg",
        "NoOp",
        "Pack",
        "Pad",
        "PadV2",
        "Placeholder",
        "PlaceholderWithDefault",
        "Pow",
        "Prod",
        "RealDiv",
        "Reciprocal",
        "Relu",
        "Relu6",
        "Reshape",
        "Rsqrt",
        "Select",
        "SelectV2",
        "Shape",
        "Sigmoid",
        "Slice",
        "Softmax",
        "Softplus",
        "Split",
        "SplitV",
        "Sqrt",
        "Square",
        "SquaredDifference",
        "Squeeze",
        "StopGradient",
        "StridedSlice",
        "Sub",
        "Sum",
        "Tanh",
        "Tile",
        "Transpose",
        "Unpack",
        "ZerosLike",
        "AssignVariableOp",
        "DisableCopyOnRead",
        "ReadVariableOp",
        "VarHandleOp",
        "VarIsInitializedOp",
        "PartitionedCall",
        "StatefulPartitionedCall",
        "MergeV2Checkpoints",
        "RestoreV2",
        "SaveV2",
        "ShardedFilename",
        "StaticRegexFullMatch",
        "StringJoin",
    ]
)
_TO_LENGTH = frozenset(
    {"ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "RSQRT", "SQRT", "SQUARE", "SUM"}
)


def is_saved_model(folder: Path) -> bool:
    """Whether a folder looks like one."""
    return (folder / GRAPH).is_file()


def read_saved_model(folder: Path) -> bytes:
    """The network of the signature `serving_default`; ModelError says what is unusable."""
    with _quiet():
        try:
            import tensorflow as tf
            from google.protobuf.message import DecodeError
            from tensorflow.core.protobuf import saved_model_pb2
        except ImportError:
            raise ConfigError(
                "a SavedModel needs TensorFlow to be read; run: pip install 'edgeface[convert]'"
            ) from None
        graph = saved_model_pb2.SavedModel()
        try:
            graph.ParseFromString((folder / GRAPH).read_bytes())
        except (DecodeError, OSError):
            raise ModelError(f"{folder / GRAPH} is damaged; copy the folder again") from None
        _check_operations(graph, folder)
        try:
            network = _converted(tf, folder)
        except ModelError:
            raise
        except Exception as error:  # TensorFlow may raise anything
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"TensorFlow cannot convert the SavedModel {folder} ({reason[:200]}); save the "
                "model as .keras and give that"
            ) from None
    return _cleaned(network, folder)


def _check_operations(graph: Any, folder: Path) -> None:
    for meta in graph.meta_graphs:
        library = meta.graph_def.library.function
        nodes = [*meta.graph_def.node, *(node for one in library for node in one.node_def)]
        for node in nodes:
            if node.op not in _KNOWN:
                raise ModelError(
                    f"the SavedModel {folder} is refused: its operation {node.name!r} "
                    f"({node.op}) does not belong in a face network"
                )


def _converted(tf: Any, folder: Path) -> bytes:
    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures["serving_default"]
    takes, gives = signature.structured_input_signature[1], signature.structured_outputs
    for what, found in (("input", takes), ("output", gives)):
        if len(found) != 1:
            raise ModelError(
                f"the network in {folder} has {len(found)} {what}s; a face network has one"
            )
    ((name, spec),) = takes.items()
    # One picture: sizes that depend on the batch become constants.
    shape = (1, *spec.shape[1:]) if spec.shape.rank else spec.shape

    @tf.function(input_signature=[tf.TensorSpec(shape, spec.dtype)])  # type: ignore[untyped-decorator]
    def one_picture(picture: Any) -> Any:
        (embedding,) = signature(**{name: picture}).values()
        return embedding

    function = one_picture.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], loaded)
    return bytes(converter.convert())


def _cleaned(network: bytes, folder: Path) -> bytes:
    """One picture in, one embedding out, without the final scaling to unit length."""
    model = unpack(network)
    graph = model.subgraphs[0]
    if len(model.subgraphs) != 1:
        raise ModelError(f"the network in {folder} has branches that depend on its input")
    source, target = (graph.tensors[places[0]] for places in (graph.inputs, graph.outputs))
    match [int(n) for n in source.shape]:
        case [1, height, width, 3] if height == width and height > 1:
            pass
        case other:
            raise ModelError(
                f"the network in {folder} takes an input of shape {tuple(other[1:])}; a face "
                "network takes square colour pictures of one size, (size, size, 3)"
            )
    if len(target.shape) != 2 or target.shape[0] != 1:
        raise ModelError(
            f"the network in {folder} gives a tensor of shape {tuple(target.shape)}; a face "
            "network gives one row of numbers"
        )
    _drop_unit_length(model)
    return pack(model)


def _drop_unit_length(model: Any) -> None:
    """End the network before its embedding is scaled to unit length: the runtime does that."""
    graph = model.subgraphs[0]
    found = list(operators(model))
    producers = {int(op.form.outputs[0]): op for op in found}
    end = int(graph.outputs[0])
    last = producers[end]
    before = None
    if last.name == "L2_NORMALIZATION":
        before = int(last.form.inputs[0])
    elif last.name in ("MUL", "DIV"):
        sides = [int(i) for i in last.form.inputs]
        for value, length in (sides, sides[::-1]):
            if _is_length_of(value, length, producers, graph):
                before = value
    if before is None:
        return
    graph.outputs = [before]
    for signature in model.signatureDefs or []:
        for entry in signature.outputs:
            entry.tensorIndex = before
    needed, waiting = set(), [before]
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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences TensorFlow and its compiler, which write to stderr directly; errors are raised."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
