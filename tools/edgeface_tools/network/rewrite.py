"""Exact rewrites of a network: same function, fewer operations, easier to quantize.

Takes in a `Graph`, hands on an equivalent one: residual scales and batch norms folded into the
weights before them, training-only layers removed, the input's colour order swapped. Arithmetic is
done in float64 and rounded once. It never approximates: anything that changes the numbers by more
than rounding belongs to the quantizer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeface_tools.network.graph import (
    Add,
    BatchNorm,
    Convolution,
    Depthwise,
    Graph,
    Identity,
    Node,
    Pad,
    Scale,
    Weighted,
)
from edgeface_tools.network.prelu import fold_norms_ahead, split_prelus
from edgeface_tools.network.scaling import scaled


def simplify(network: Graph) -> Graph:
    """All exact rewrites that every network gets."""
    network = fold_norms_ahead(fold_padding(drop_identities(network)))
    return split_prelus(fold_scales(fold_batch_norms(network)))


def drop_identities(network: Graph) -> Graph:
    """Without the layers that do nothing at inference."""
    return network.map_nodes(
        {node.name: None for node in network.nodes if isinstance(node.operation, Identity)}
    )


def fold_batch_norms(network: Graph) -> Graph:
    """Batch norms folded into the convolution or dense layer of which they are the only reader."""
    changed: dict[str, Node | None] = {}
    for node in network.nodes:
        if not isinstance(node.operation, BatchNorm):
            continue
        before = network.producer(node.inputs[0])
        if before is None or not isinstance(before.operation, Weighted):
            continue
        if len(network.consumers(before.name)) != 1:
            continue
        norm = node.operation
        factor = norm.gamma.astype(np.float64) / np.sqrt(
            norm.variance.astype(np.float64) + norm.epsilon
        )
        shift = norm.beta.astype(np.float64) - norm.mean.astype(np.float64) * factor
        changed[before.name] = replace(before, operation=scaled(before.operation, factor, shift))
        changed[node.name] = None
    return network.map_nodes(changed)


def fold_padding(network: Graph) -> Graph:
    """Zeros around a picture left to the only convolution that reads it, where its `same` padding
    adds exactly these."""
    changed: dict[str, Node | None] = {}
    for node in network.nodes:
        readers = network.consumers(node.name)
        if not isinstance(node.operation, Pad) or len(readers) != 1:
            continue
        reader = readers[0].operation
        if not isinstance(reader, Convolution | Depthwise) or reader.padding != "valid":
            continue
        height, width = reader.kernel.shape[:2]
        around = Pad((height // 2, height // 2), (width // 2, width // 2))
        if node.operation == around and reader.strides == (1, 1) and height % 2 and width % 2:
            changed[node.name] = None
            changed[readers[0].name] = replace(
                readers[0], operation=replace(reader, padding="same")
            )
    return network.map_nodes(changed)


def fold_scales(network: Graph) -> Graph:
    """Scales folded into the weights before them: the scale of a residual sum's second term, and
    layers that only scale."""
    changed: dict[str, Node | None] = {}
    for node in network.nodes:
        before = network.producer(node.inputs[0])
        if (
            isinstance(node.operation, Scale)
            and before is not None
            and isinstance(before.operation, Weighted)
            and len(network.consumers(before.name)) == 1
        ):
            factor = np.full(before.operation.bias.shape, node.operation.factor, np.float64)
            shift = np.full_like(factor, node.operation.shift)
            scaled_before = scaled(before.operation, factor, shift)
            changed[before.name] = replace(before, operation=scaled_before)
            changed[node.name] = None
    network = network.map_nodes(changed)
    changed = {}
    for node in network.nodes:
        if not isinstance(node.operation, Add) or node.operation.scale == 1.0:
            continue
        before = network.producer(node.inputs[1])
        if before is None or not isinstance(before.operation, Convolution):
            continue
        if len(network.consumers(before.name)) != 1:
            continue
        factor = np.full(before.operation.bias.shape, node.operation.scale, np.float64)
        shift = np.zeros_like(factor)
        changed[before.name] = replace(before, operation=scaled(before.operation, factor, shift))
        changed[node.name] = replace(node, operation=Add())
    return network.map_nodes(changed)


def swap_colours(network: Graph) -> Graph | None:
    """The same network for pictures whose channels come in the opposite order (RGB and BGR).

    None when anything but convolutions reads the picture: its order cannot be moved into weights.
    """
    changed: dict[str, Node | None] = {}
    readers = network.consumers(network.input_name)
    while any(isinstance(node.operation, Pad | Scale) for node in readers):
        readers = [
            reader
            for node in readers
            for reader in (
                network.consumers(node.name) if isinstance(node.operation, Pad | Scale) else [node]
            )
        ]
    for node in readers:
        if not isinstance(node.operation, Convolution):
            return None
        kernel = np.ascontiguousarray(node.operation.kernel[:, :, ::-1, :])
        changed[node.name] = replace(node, operation=replace(node.operation, kernel=kernel))
    return network.map_nodes(changed)
