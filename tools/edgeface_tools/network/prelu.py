"""PReLU in operators that every delegate has in 8 bits.

Takes in a `Graph`, hands on an equivalent one. XNNPACK has no PReLU in int8, so that each would
cut the network in two; c x + relu(d x) is the same function where no slope is above 1, and where
one is, the channel's sign is turned and turned back by the weights behind it. Every product is one
more rounding in 8 bits: a cheap layer before gives both by being computed twice, any other gives
d x, of which c / d times is the other. It never approximates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgeface_tools.network.graph import (
    Add,
    BatchNorm,
    Convolution,
    Dense,
    Depthwise,
    Flatten,
    Graph,
    Identity,
    Multiply,
    Node,
    Pad,
    Prelu,
    Relu,
    Weighted,
)
from edgeface_tools.network.scaling import Numbers, inputs_scaled, scaled

_CHEAP = 32  # products for each number of an output
_LEAST_BEND = 0.1  # below it, c / d would make too much of the rounding of d x


def fold_norms_ahead(network: Graph) -> Graph:
    """Batch norms that no layer before can take, folded into the dense layer behind them."""
    for node in network.nodes:
        norm, reader = node.operation, _reader(network, node.name)
        before = network.producer(node.inputs[0])
        if before is not None and isinstance(before.operation, Weighted):
            continue
        if not isinstance(norm, BatchNorm) or reader is None:
            continue
        if not isinstance(reader.operation, Dense) or reader.padded:  # a shift leaves zeros alone
            continue
        factor = norm.gamma.astype(np.float64) / np.sqrt(
            norm.variance.astype(np.float64) + norm.epsilon
        )
        shift = norm.beta.astype(np.float64) - norm.mean.astype(np.float64) * factor
        kernel = reader.operation.kernel.astype(np.float64)
        bias = reader.operation.bias + np.resize(shift, len(kernel)) @ kernel
        dense = inputs_scaled(reader.operation, factor)
        dense = replace(dense, bias=bias.astype(np.float32))
        changed = {node.name: None, reader.name: replace(reader.node, operation=dense)}
        network = network.map_nodes(changed)
    return network


def split_prelus(network: Graph) -> Graph:
    """Without PReLUs: each becomes two products, a ReLU and their sum."""
    for node in network.nodes:
        if isinstance(node.operation, Prelu):
            network = _split(network, node, node.operation.slope.astype(np.float64))
    return network


def _split(network: Graph, node: Node, slope: Numbers) -> Graph:
    sign = np.where(slope > 1, -1.0, 1.0)
    straight = f"{node.name}/straight", sign * slope
    bent = f"{node.name}/scaled", np.abs(1 - slope)
    before, reader = network.producer(node.inputs[0]), _reader(network, node.name)
    changed: dict[str, list[Node]] = {}
    alone = before is not None and len(network.consumers(before.name)) == 1
    if before is not None and alone and _is_cheap(before):
        parts = [_scaled(before, *straight), _scaled(before, *bent)]
        changed[before.name] = []
    elif before is not None and alone and _can_bend(before, bent[1]):
        parts = [_scaled(before, *bent), Node(straight[0], _by(straight[1] / bent[1]), (bent[0],))]
        changed[before.name] = []
    else:
        parts = [Node(name, _by(factor), node.inputs) for name, factor in (straight, bent)]
    parts.append(Node(f"{node.name}/positive", Relu(), (bent[0],)))
    total = Node(node.name, Add(), (straight[0], parts[-1].name))
    if (sign > 0).all():
        parts.append(total)
    elif reader is not None:
        parts.append(total)
        changed[reader.name] = [reader.scaled(sign)]
    else:
        parts.append(replace(total, name=f"{node.name}/turned"))
        parts.append(Node(node.name, _by(sign), (parts[-1].name,)))
    changed[node.name] = parts
    nodes = [part for one in network.nodes for part in changed.get(one.name, [one])]
    return replace(network, nodes=tuple(nodes))


def _is_cheap(node: Node) -> bool:
    """Whether a layer may be computed twice: for each number it takes no more products than that,
    and its own rounding in 8 bits is saved."""
    operation = node.operation
    if isinstance(operation, Depthwise):
        return True
    return isinstance(operation, Convolution) and operation.kernel[..., 0].size <= _CHEAP


def _can_bend(node: Node, factor: Numbers) -> bool:
    return isinstance(node.operation, Weighted) and bool(factor.min() >= _LEAST_BEND)


def _scaled(node: Node, name: str, factor: Numbers) -> Node:
    operation = node.operation
    if not isinstance(operation, Weighted):
        raise TypeError(f"{node.name} has no weights")
    return replace(node, name=name, operation=scaled(operation, factor, np.zeros_like(factor)))


def _by(factor: Numbers) -> Multiply:
    return Multiply(factor.astype(np.float32))


@dataclass(frozen=True, eq=False)
class _Reader:
    """The layer with weights that alone reads a value, as it is or padded or flattened."""

    node: Node
    operation: Weighted
    padded: bool

    @property
    def name(self) -> str:
        return self.node.name

    def scaled(self, factor: Numbers) -> Node:
        """The layer that gives the same for inputs divided by `factor`, where that is 1 or -1."""
        return replace(self.node, operation=inputs_scaled(self.operation, factor))


def _reader(network: Graph, name: str) -> _Reader | None:
    padded = False
    while True:
        readers = network.consumers(name)
        if len(readers) != 1 or name == network.output_name:
            return None
        operation = readers[0].operation
        if isinstance(operation, Weighted):
            return _Reader(readers[0], operation, padded)
        if not isinstance(operation, Pad | Flatten | Identity):
            return None
        name, padded = readers[0].name, padded or isinstance(operation, Pad)
