"""Opens TensorFlow graphs: SavedModel folders and frozen graphs of TensorFlow 1.

Takes in a path, hands on an `Opened`. A graph is code, so what would run of it is checked first and
refused if it holds an operation that a face network does not need, such as one that reads or writes
files; training functions that nothing calls are left alone. It converts nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeface.errors import ConfigError, ModelError
from edgeface.system.chatter import overheard
from edgeface_tools.source.framework import Opened

GRAPH = "saved_model.pb"

# Arithmetic on tensors, and how TensorFlow 2 stores variables and calls functions. The names of
# files that the last group saves and restores are set by the loader, inside the folder.
_KNOWN = frozenset(
    ("Abs", "Add", "AddN", "AddV2", "All", "Any", "ArgMax", "Assign", "AssignVariableOp",
     "AvgPool", "BatchMatMul", "BatchMatMulV2", "BatchToSpaceND", "BiasAdd", "BroadcastTo",
     "Cast", "ClipByValue", "Concat", "ConcatV2", "Const", "Conv2D", "DepthToSpace",
     "DepthwiseConv2dNative", "DisableCopyOnRead", "Div", "DivNoNan", "Einsum", "Elu", "Equal",
     "Erf", "Erfc", "Exp", "ExpandDims", "Fill", "Floor", "FloorDiv", "FloorMod",
     "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "Gather", "GatherNd", "GatherV2",
     "Greater", "GreaterEqual", "Identity", "IdentityN", "If", "L2Loss", "LRN", "LeakyRelu",
     "Less", "LessEqual", "Log", "Log1p", "LogicalAnd", "LogicalNot", "LogicalOr", "MatMul",
     "Max", "MaxPool", "MaxPoolV2", "Maximum", "Mean", "Merge", "MergeV2Checkpoints", "Min",
     "Minimum", "MirrorPad", "Mul", "Neg", "NoOp", "NotEqual", "OnesLike", "OptionalFromValue",
     "OptionalGetValue", "OptionalHasValue", "OptionalNone", "Pack", "Pad", "PadV2",
     "PartitionedCall", "Placeholder", "PlaceholderWithDefault", "Pow", "Prod", "Range", "Rank",
     "ReadVariableOp", "RealDiv", "Reciprocal", "Relu", "Relu6", "Reshape", "ResizeBilinear",
     "ResizeNearestNeighbor", "RestoreV2", "ReverseV2", "Round", "Rsqrt", "SaveV2", "Select",
     "SelectV2", "Selu", "Shape", "ShardedFilename", "Sigmoid", "Sign", "Size", "Slice",
     "Softmax", "Softplus", "Softsign", "SpaceToBatchND", "SpaceToDepth", "Split", "SplitV",
     "Sqrt", "Square", "SquaredDifference", "Squeeze", "StatefulPartitionedCall", "StatelessIf",
     "StaticRegexFullMatch", "StopGradient", "StridedSlice", "StringJoin", "Sub", "Sum",
     "Switch", "Tanh", "Tile", "Transpose", "Unpack", "VarHandleOp", "VarIsInitializedOp",
     "Variable", "VariableV2", "ZerosLike")
)  # fmt: skip
_STARTS = "__saved_model_init_op"
_USUAL = "serving_default"


def is_saved_model(folder: Path) -> bool:
    """Whether a folder looks like one."""
    return (folder / GRAPH).is_file()


def saved_model_in(folder: Path) -> Path | None:
    """The SavedModel that a folder is, or holds as TensorFlow Serving does: its highest number."""
    if is_saved_model(folder):
        return folder
    inside = sorted(path.parent for path in folder.glob(f"*/{GRAPH}"))
    numbered = [path for path in inside if path.name.isdecimal()]
    if numbered:
        return max(numbered, key=lambda path: int(path.name))
    return inside[0] if len(inside) == 1 else None


def open_saved_model(folder: Path, output: str | None = None, size: int | None = None) -> Opened:
    """The network of a signature; ModelError says what is unusable.

    `output` names one of several outputs, `size` the side of its pictures where it takes any.
    """
    with _tensorflow(folder) as tf:
        from google.protobuf.message import DecodeError
        from tensorflow.core.protobuf import saved_model_pb2

        graph = saved_model_pb2.SavedModel()
        try:
            graph.ParseFromString((folder / GRAPH).read_bytes())
        except (DecodeError, OSError):
            raise ModelError(f"{folder / GRAPH} is damaged; copy the folder again") from None
        name = _signature(graph, folder)
        _check_runs(graph, name, folder)
        loaded = tf.saved_model.load(str(folder))
        return _opened(tf, loaded, name, folder, output, size)


def open_frozen(path: Path, output: str | None = None, size: int | None = None) -> Opened:
    """The graph of a frozen TensorFlow 1 file, with `phase_train` false."""
    with _tensorflow(path) as tf:
        from google.protobuf.message import DecodeError

        graph = tf.compat.v1.GraphDef()
        try:
            graph.ParseFromString(path.read_bytes())
        except (DecodeError, OSError):
            raise ModelError(f"{path} is damaged; copy it again") from None
        if any(node.op in ("Variable", "VariableV2", "VarHandleOp") for node in graph.node):
            raise ModelError(
                f"{path} is a graph without its weights; freeze it first "
                "(tf.compat.v1.graph_util.convert_variables_to_constants), or give the SavedModel"
            )
        pictures, end = _ends_of(graph, path, output)
        graph = tf.compat.v1.graph_util.extract_sub_graph(graph, [end])
        _at_inference(tf, graph)
        graph = tf.compat.v1.graph_util.extract_sub_graph(graph, [end])
        _refuse_unknown(graph.node, graph.library.function, path)
        node = next(one for one in graph.node if one.name == pictures)
        sides = [int(d.size) for d in node.attr["shape"].shape.dim]
        side = _side(sides, size, path)

        def imported(picture: Any) -> Any:
            (found,) = tf.import_graph_def(
                graph, input_map={f"{pictures}:0": picture}, return_elements=[f"{end}:0"]
            )
            return found

        spec = tf.TensorSpec((None, side, side, 3), tf.dtypes.as_dtype(node.attr["dtype"].type))
        function = tf.compat.v1.wrap_function(imported, [spec])
        batch = sides[0] if len(sides) == 4 and sides[0] > 1 else None
        return Opened(_version(tf), side, spec.dtype.name, function, batch, function)


def _signature(graph: Any, folder: Path) -> str:
    names: list[str] = sorted(
        {name for meta in graph.meta_graphs for name in meta.signature_def} - {_STARTS}
    )
    if _USUAL in names:
        return _USUAL
    if len(names) == 1:
        return names[0]
    known = ", ".join(names) or "none"
    raise ModelError(
        f"the SavedModel {folder} has no signature {_USUAL!r} (it has: {known}); save the model "
        "again with model.export()"
    )


def _check_runs(graph: Any, signature: str, folder: Path) -> None:
    """Refuse what loading or running the signature would run and a face network does not need."""
    for meta in graph.meta_graphs:
        if meta.object_graph_def.nodes:
            kinds = {one.WhichOneof("kind") for one in meta.object_graph_def.nodes}
            if kinds & {"resource", "asset"}:
                raise ModelError(
                    f"the SavedModel {folder} is refused: it brings tables or files of its own, "
                    "which a face network does not need"
                )
        starts = [tensor.name for tensor in meta.signature_def[signature].outputs.values()]
        starts += [tensor.name for tensor in meta.signature_def[_STARTS].outputs.values()]
        objects = meta.object_graph_def
        functions = [_Call(name) for name in _called_by_objects(objects, signature)]
        saver = meta.saver_def
        starts += [saver.restore_op_name, saver.filename_tensor_name]
        for collected in ("saved_model_main_op", "legacy_init_op", "table_initializer"):
            starts += list(meta.collection_def[collected].node_list.value)
        runs = [*functions, *_reached(meta.graph_def.node, starts)]
        _refuse_unknown(runs, meta.graph_def.library.function, folder)


@dataclass(frozen=True)
class _Call:
    """A call of a function that no node of the graph makes."""

    op: str
    name: str = "signature"
    attr: dict[str, Any] = field(default_factory=dict)


def _called_by_objects(objects: Any, signature: str) -> Iterator[str]:
    """The functions that TensorFlow 2 calls: the signature, and what restores variables."""
    if not objects.nodes:  # saved by TensorFlow 1
        return
    signatures = [c.node_id for c in objects.nodes[0].children if c.local_name == "signatures"]
    for place in signatures:
        for child in objects.nodes[place].children:
            if child.local_name == signature:
                yield objects.nodes[child.node_id].bare_concrete_function.concrete_function_name
    for one in objects.nodes:
        for stored in one.saveable_objects.values():
            restoring = objects.nodes[stored.restore_function]
            yield from restoring.function.concrete_functions
            if restoring.WhichOneof("kind") == "bare_concrete_function":
                yield restoring.bare_concrete_function.concrete_function_name


def _reached(nodes: Iterable[Any], starts: Iterable[str]) -> list[Any]:
    named = {node.name: node for node in nodes}
    waiting = [_node_of(start) for start in starts if start]
    found: dict[str, Any] = {}
    while waiting:
        name = waiting.pop()
        if name in named and name not in found:
            found[name] = named[name]
            waiting += [_node_of(one) for one in named[name].input]
    return list(found.values())


def _node_of(tensor: str) -> str:
    return tensor.lstrip("^").partition(":")[0]


def _refuse_unknown(nodes: Iterable[Any], library: Iterable[Any], place: Path) -> None:
    """ModelError for the first operation that is not known, of nodes and the functions called."""
    functions = {one.signature.name: one for one in library}
    waiting, called = list(nodes), set()
    while waiting:
        node = waiting.pop()
        if node.op in functions:
            inner = [node.op]
        elif node.op in _KNOWN:
            inner = []
        else:
            raise ModelError(
                f"the graph in {place} is refused: its operation {node.name!r} ({node.op}) does "
                "not belong in a face network; save the part that gives the embedding alone"
            )
        for value in node.attr.values():
            inner += [value.func.name] if value.func.name else []
            inner += [one.name for one in value.list.func]
        for name in inner:
            if name in functions and name not in called:
                called.add(name)
                waiting += functions[name].node_def


def _opened(
    tf: Any, loaded: Any, name: str, folder: Path, output: str | None, size: int | None
) -> Opened:
    signature = loaded.signatures[name]
    takes, gives = signature.structured_input_signature[1], signature.structured_outputs
    takes = {key: spec for key, spec in takes.items() if spec.dtype != tf.bool}
    flags = {
        key: tf.constant(False)
        for key, spec in signature.structured_input_signature[1].items()
        if spec.dtype == tf.bool  # phase_train, and the like
    }
    if len(takes) != 1:
        raise ModelError(
            f"the network in {folder} has {len(takes)} inputs; a face network has one: save the "
            "part that takes one picture alone"
        )
    if output is None and len(gives) != 1:
        raise ModelError(
            f"the network in {folder} has {len(gives)} outputs; a face network has one, so name "
            f"it with --layer: {', '.join(sorted(gives))}"
        )
    if output is not None and output not in gives:
        raise ModelError(
            f"the signature of {folder} has no output {output!r}; it has: "
            f"{', '.join(sorted(gives))}"
        )
    ((key, spec),) = takes.items()
    chosen = output or next(iter(gives))
    shape = spec.shape.as_list() if spec.shape.rank is not None else []
    side = _side([-1 if n is None else n for n in shape], size, folder)
    batch = shape[0] if shape and shape[0] not in (None, 1) else None

    def call(pictures: Any) -> Any:
        return signature(**{key: pictures}, **flags)[chosen]

    if shape and shape[0] == 1:
        batch = 1
    return Opened(_version(tf), side, spec.dtype.name, call, batch, loaded)


def _side(shape: list[int], size: int | None, place: Path) -> int:
    """The side of the pictures, from a shape with -1 for any length."""
    match shape:
        case [_, height, width, 3] if height == width and height > 1:
            return height
        case [_, height, width, 3 | -1] if {height, width} == {-1}:
            pass
        case []:
            pass
        case other:
            raise ModelError(
                f"the network in {place} takes an input of shape {tuple(other[1:])}; a face "
                "network takes square colour pictures of one size, (size, size, 3)"
            )
    if size is None:
        raise ModelError(
            f"the network in {place} takes pictures of any size; say with --size how large they "
            "were in training, for example --size 160"
        )
    return size


def _ends_of(graph: Any, path: Path, output: str | None) -> tuple[str, str]:
    """The names of the picture's placeholder and of the embedding's node."""
    read = {_node_of(one) for node in graph.node for one in node.input}
    pictures = [
        node.name
        for node in graph.node
        if node.op == "Placeholder" and node.attr["dtype"].type in (1, 4)
    ]
    if len(pictures) != 1:
        raise ModelError(f"the graph in {path} has {len(pictures)} inputs; a face network has one")
    if output is not None:
        if output not in {node.name for node in graph.node}:
            raise ModelError(f"the graph in {path} has no node {output!r}; check --layer")
        return pictures[0], output
    last = [
        n.name for n in graph.node if n.name not in read and n.op not in ("Placeholder", "NoOp")
    ]
    last = [name for name in last if name] or ["none"]
    named = [name for name in last if name == "embeddings"]
    if len(named or last) != 1:
        raise ModelError(
            f"the graph in {path} has {len(last)} outputs; name the embedding's with --layer: "
            f"{', '.join(last[:8])}"
        )
    return pictures[0], (named or last)[0]


def _at_inference(tf: Any, graph: Any) -> None:
    """Set boolean inputs (phase_train) to false and leave out the branches that needs."""
    false = tf.make_tensor_proto(False)
    flags = set()
    for node in graph.node:
        if node.op in ("Placeholder", "PlaceholderWithDefault") and node.attr["dtype"].type == 10:
            flags.add(node.name)
            node.op = "Const"
            del node.input[:]
            node.attr.pop("shape", None)
            node.attr["value"].tensor.CopyFrom(false)
    grown = True
    while grown:
        before = len(flags)
        flags |= {
            n.name for n in graph.node if n.op == "Identity" and _node_of(n.input[0]) in flags
        }
        grown = len(flags) > before
    dead: set[str] = set()
    for node in graph.node:
        if node.op in ("If", "StatelessIf") and _node_of(node.input[0]) in flags:
            chosen = node.attr["else_branch"]
            node.op = "StatefulPartitionedCall" if node.op == "If" else "PartitionedCall"
            del node.input[0]
            for name in ("then_branch", "else_branch", "output_shapes", "Tcond"):
                if name != "else_branch":
                    node.attr.pop(name, None)
            node.attr["f"].CopyFrom(chosen)
            node.attr.pop("else_branch")
        elif node.op == "Switch" and _node_of(node.input[1]) in flags:
            dead.add(f"{node.name}:1")
            node.op = "Identity"
            del node.input[1]
    _drop_dead_branches(graph, dead)


def _drop_dead_branches(graph: Any, dead: set[str]) -> None:
    """Let each Merge read the branch that is left, once `dead` tensors are never computed."""
    if not dead:
        return
    gone: set[str] = set()
    for _ in range(len(graph.node)):
        before = len(gone)
        for node in graph.node:
            lost = [one for one in node.input if one in dead or _node_of(one) in gone]
            if lost and (node.op != "Merge" or len(lost) == len(node.input)):
                gone.add(node.name)
        if len(gone) == before:
            break
    for node in graph.node:
        if node.op == "Merge" and node.name not in gone:
            left = [one for one in node.input if one not in dead and _node_of(one) not in gone]
            if len(left) == 1:
                node.op = "Identity"
                del node.input[:]
                node.input.append(left[0])
                node.attr.pop("N", None)


def _version(tf: Any) -> str:
    return f"TensorFlow {tf.__version__}"


@contextlib.contextmanager
def _tensorflow(place: Path) -> Iterator[Any]:
    """TensorFlow, silent; whatever it raises becomes a ModelError that names `place`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with overheard():
        try:
            import tensorflow as tf
        except ImportError:
            raise ConfigError(
                "a TensorFlow graph needs TensorFlow to be read; run: pip install "
                "'edgeface[convert]'"
            ) from None
        try:
            yield tf
        except (ModelError, ConfigError):
            raise
        except Exception as error:  # TensorFlow may raise anything
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"TensorFlow cannot read {place} ({reason[:200]}); save the model as .keras and "
                "give that"
            ) from None
