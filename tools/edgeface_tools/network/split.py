"""Splits a network in two at a layer through which everything passes.

Takes in a `Graph`, hands on the part up to such a layer and the part after it, both networks again.
The first part can be frozen and run once; only the second need be trained.
"""

from __future__ import annotations

from edgeface.errors import ConfigError
from edgeface_tools.network.graph import Graph


def waists(network: Graph) -> list[str]:
    """The layers whose output is the only one that later layers read, in order.

    The network's own output is not among them: nothing comes after it.
    """
    last_reader = {name: i for i, node in enumerate(network.nodes) for name in node.inputs}
    found: list[str] = []
    alive = {network.input_name}
    for i, node in enumerate(network.nodes[:-1]):
        alive = {name for name in (*alive, node.name) if last_reader.get(name, -1) > i}
        if alive == {node.name}:
            found.append(node.name)
    return found


def default_waist(network: Graph) -> str:
    """The layer at which the picture reaches its smallest size: FaceNet's Mixed_7a, 3 x 3.

    The rest costs a tenth of the network's arithmetic and holds half of its weights.
    """
    pictures = [name for name in waists(network) if len(network.shapes[name]) == 3]
    if not pictures:
        raise ConfigError("the network cannot be split anywhere, so no part of it can be frozen")
    smallest = network.shapes[pictures[-1]][:2]
    return next(name for name in pictures if network.shapes[name][:2] == smallest)


def cut(network: Graph, waist: str) -> tuple[Graph, Graph]:
    """The network up to and including the layer `waist`, and the rest of it."""
    possible = waists(network)
    if waist not in possible:
        raise ConfigError(
            f"the network cannot be split after {waist!r}; it can after: {', '.join(possible)}"
        )
    place = [node.name for node in network.nodes].index(waist) + 1
    before = Graph(network.input_name, network.input_shape, network.nodes[:place], waist)
    after = Graph(waist, network.shapes[waist], network.nodes[place:], network.output_name)
    return before, after


def joined(before: Graph, after: Graph) -> Graph:
    """The whole network again; the inverse of `cut`."""
    nodes = (*before.nodes, *after.nodes)
    return Graph(before.input_name, before.input_shape, nodes, after.output_name)
