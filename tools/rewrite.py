"""Exact rewrites of a network: same function, fewer operations, friendlier to quantization.

Takes in a `Network`, hands on an equivalent one: residual scales and batch norms folded into the
weights before them, layers of training removed, the input's colour order swapped. Arithmetic is
done in float64 and rounded once. It never approximates: what changes the numbers by more than
rounding belongs to the quantizer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeface.errors import ModelError
from edgeface_tools.graph import Add, BatchNorm, Convolution, Dense, Identity, Network, Node


def simplify(network: Network) -> Network:
    """All exact rewrites that every network gets."""
    return fold_scales(fold_batch_norms(drop_identities(network)))


def drop_identities(network: Network) -> Network:
    """Without the layers that do nothing at inference."""
    return network.map_nodes(
        {node.name: None for node in network.nodes if isinstance(node.operation, Identity)}
    )


def fold_batch_norms(network: Network) -> Network:
    """Batch norms folded into the convolution or dense layer whose only reader they are."""
    changed: dict[str, Node | None] = {}
    for node in network.nodes:
        if not isinstance(node.operation, BatchNorm):
            continue
        before = network.producer(node.inputs[0])
        if before is None or not isinstance(before.operation, Convolution | Dense):
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


def fold_scales(network: Network) -> Network:
    """The scale of a residual sum folded into the convolution that makes its second term."""
    changed: dict[str, Node | None] = {}
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


def swap_colours(network: Network) -> Network:
    """The same network for pictures whose channels come in the opposite order (RGB and BGR)."""
    changed: dict[str, Node | None] = {}
    for node in network.consumers(network.input_name):
        if not isinstance(node.operation, Convolution):
            raise ModelError(
                f"the input's colour order cannot be swapped: the layer {node.name!r} reads the "
                "picture and is no convolution; give --colour the order the network was made for"
            )
        kernel = np.ascontiguousarray(node.operation.kernel[:, :, ::-1, :])
        changed[node.name] = replace(node, operation=replace(node.operation, kernel=kernel))
    return network.map_nodes(changed)


def scaled(
    operation: Convolution | Dense, factor: np.ndarray, shift: np.ndarray
) -> Convolution | Dense:
    """The operation whose output is `factor` times the given one's, plus `shift`, by channel."""
    kernel = operation.kernel.astype(np.float64) * factor
    bias = operation.bias.astype(np.float64) * factor + shift
    return replace(operation, kernel=kernel.astype(np.float32), bias=bias.astype(np.float32))
