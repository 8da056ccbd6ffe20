"""Parts a network in two where everything passes through one tensor.

Takes in a `Graph`, hands on the part before such a place and the part after it, both networks
again. What lies before can be kept as it is and run once; only what lies after need be trained.
"""

from __future__ import annotations

from edgeface.errors import ConfigError
from edgeface_tools.network.graph import Graph


def waists(network: Graph) -> list[str]:
    """The layers whose output is all that later layers read of earlier ones, in their order.

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
    """The layer from which on the picture has its smallest size: FaceNet's Mixed_7a, 3 x 3.

    What comes after costs a tenth of the network's arithmetic and holds half of its weights.
    """
    pictures = [name for name in waists(network) if len(network.shapes[name]) == 3]
    if not pictures:
        raise ConfigError("the network cannot be parted anywhere; nothing of it can be kept frozen")
    smallest = network.shapes[pictures[-1]][:2]
    return next(name for name in pictures if network.shapes[name][:2] == smallest)


def cut(network: Graph, waist: str) -> tuple[Graph, Graph]:
    """The network up to and with the layer `waist`, and the rest of it."""
    possible = waists(network)
    if waist not in possible:
        raise ConfigError(
            f"the network cannot be parted after {waist!r}; it can after: {', '.join(possible)}"
        )
    place = [node.name for node in network.nodes].index(waist) + 1
    before = Graph(network.input_name, network.input_shape, network.nodes[:place], waist)
    after = Graph(waist, network.shapes[waist], network.nodes[place:], network.output_name)
    return before, after


def joined(before: Graph, after: Graph) -> Graph:
    """The whole again; the inverse of `cut`."""
    nodes = (*before.nodes, *after.nodes)
    return Graph(before.input_name, before.input_shape, nodes, after.output_name)
