"""What a TensorFlow graph does to its pixels first, before a converter hides it in the weights.

Takes in a frozen graph with one input, hands on the factor and shift of each channel, as
`tflite.preprocessing` does for a flatbuffer. TensorFlow's converter folds a subtraction or a
scaling into the convolution after it, where no flatbuffer shows it any more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeface_tools.tflite.preprocessing import Channels, Leading

_PASSIVE = frozenset(
    ("Cast", "ExpandDims", "GatherV2", "Identity", "MirrorPad", "Pad", "PadV2", "Reshape",
     "ResizeBilinear", "ResizeNearestNeighbor", "ReverseV2", "Slice", "Squeeze", "StridedSlice",
     "Transpose")
)  # fmt: skip
_SAME = frozenset(("Cast", "Identity", "ReadVariableOp"))
_NORMS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))

_DIVISIONS = ("Div", "RealDiv")

_Affine = tuple[Channels, Channels]


def beginning(graph: Any, picture: str) -> Leading | None:
    """The arithmetic with constants that reads the node `picture`, behind what only moves pixels.

    None where there is none. `graph` is a GraphDef in which variables are constants.
    """
    nodes = {node.name: node for node in graph.node}
    waiting, seen = [picture], {picture}
    while waiting:
        place = waiting.pop(0)
        for node in graph.node:
            if place not in [_name(one) for one in node.input]:
                continue
            step = _step(nodes, node, place)
            if step is not None:
                return _followed(graph, nodes, node.name, step)
            if node.op in _PASSIVE and node.name not in seen:
                seen.add(node.name)
                waiting.append(node.name)
    return None


def _followed(graph: Any, nodes: dict[str, Any], place: str, step: _Affine) -> Leading:
    """Together with the steps that directly follow."""
    factor, shift = step
    while True:
        readers = [n for n in graph.node if place in [_name(one) for one in n.input]]
        if len(readers) != 1:
            return Leading(factor, shift, alone=False)
        place = readers[0].name
        if readers[0].op in _SAME:
            continue
        after = _step(nodes, readers[0], _name(readers[0].input[0])) or _step(
            nodes, readers[0], _name(readers[0].input[-1])
        )
        if after is None:
            return Leading(factor, shift, alone=False)
        factor, shift = after[0] * factor, after[0] * shift + after[1]


def _step(nodes: dict[str, Any], node: Any, place: str) -> _Affine | None:
    """A node that reads `place` as (factor, shift); None for any other."""
    if node.op in _NORMS and _name(node.input[0]) == place:
        return _norm(nodes, node)
    if node.op not in ("Add", "AddV2", "BiasAdd", "Div", "Mul", "RealDiv", "Sub"):
        return None
    sides = [_name(one) for one in node.input[:2]]
    first = sides[0] == place
    other = _constant(nodes, sides[1 if first else 0])
    if other is None or other.size not in (1, 3) or (node.op in _DIVISIONS and not first):
        return None
    other, one = np.broadcast_to(other.ravel(), 3), np.ones(3)
    if node.op == "Sub":
        return (one, -other) if first else (-one, other)
    if node.op == "Mul":
        return other, 0 * one
    return (1 / other, 0 * one) if node.op in _DIVISIONS else (one, other)


def _norm(nodes: dict[str, Any], node: Any) -> _Affine | None:
    arrays = [_constant(nodes, _name(one)) for one in node.input[1:5]]
    scale, offset, mean, variance = arrays
    if scale is None or offset is None or mean is None or variance is None or scale.size != 3:
        return None
    factor = scale / np.sqrt(variance + node.attr["epsilon"].f)
    return factor, offset - mean * factor


def _constant(nodes: dict[str, Any], name: str) -> Channels | None:
    from tensorflow import make_ndarray

    while name in nodes and nodes[name].op in _SAME and nodes[name].input:
        name = _name(nodes[name].input[0])
    if name not in nodes or nodes[name].op != "Const":
        return None
    values = make_ndarray(nodes[name].attr["value"].tensor)
    return values.astype(np.float64) if values.dtype.kind in "fiu" else None


def _name(tensor: str) -> str:
    return tensor.lstrip("^").partition(":")[0]
