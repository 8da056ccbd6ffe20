"""Reads what Keras 3 saves, `.keras` and `.weights.h5`, without Keras.

Takes in a path, hands on a `Graph`, or the arrays of layers by their names. A `.keras` file is a
zip of the layer list (config.json) and the weights (model.weights.h5); both are read as data, and
code in it (a Lambda) is refused like any unknown layer.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py

from edgeface.errors import ModelError
from edgeface_tools.network.graph import Graph, Weights
from edgeface_tools.source.hdf5 import opened, plain_array
from edgeface_tools.source.keras_config import layers_of, network_of
from edgeface_tools.source.keras_layers import Layer, stored_arrays

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
_LARGEST = {CONFIG: 64 << 20, WEIGHTS: 2 << 30}  # bytes unpacked
_ROOTS = ("layers", "_layer_checkpoint_dependencies")


def read_keras(path: Path) -> Graph:
    """The network in a `.keras` file; ModelError says what is unusable."""
    try:
        with zipfile.ZipFile(path) as archive:
            config, weights = (_member(archive, name, path) for name in (CONFIG, WEIGHTS))
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise ModelError(f"{path} is not a complete .keras file ({error}); copy it again") from None
    with opened(path, weights) as file:
        place = str(path)
        groups = dict(_in_order(file, layers_of(config, place)))
        groups.update(named_groups(file))

        def read(layer: Layer, array: str) -> Weights:
            return numbered_array(groups, layer.name, stored_arrays(layer).index(array))

        return network_of(config, read, place)


def named_groups(file: h5py.File) -> dict[str, h5py.Group]:
    """The group of each layer's arrays, by the layer's name; older releases recorded no names."""
    found = {}
    for root in _ROOTS:
        group = file.get(root)
        for one in group.values() if isinstance(group, h5py.Group) else ():
            variables = one.get("vars") if isinstance(one, h5py.Group) else None
            if isinstance(variables, h5py.Group) and "name" in variables.attrs:
                found[str(variables.attrs["name"])] = variables
    return found


def numbered_array(groups: dict[str, h5py.Group], layer: str, place: int) -> Weights:
    """A layer's array by its position; the file has no other names for them."""
    if layer not in groups or str(place) not in groups[layer]:
        raise ModelError(f"the layer {layer!r} has no stored weights number {place}")
    return plain_array(groups[layer][str(place)], layer)


def _in_order(file: h5py.File, layers: list[Layer]) -> Iterator[tuple[str, h5py.Group]]:
    """The same, by the numbers that Keras gives to the layers of a kind: conv2d, conv2d_1, ..."""
    counts: dict[str, int] = {}
    for layer in layers:
        kind = _snake_case(layer.kind)
        number = counts[kind] = counts.get(kind, -1) + 1
        for root in _ROOTS:
            path = f"{root}/{kind}{f'_{number}' if number else ''}/vars"
            if isinstance(group := file.get(path), h5py.Group):
                yield layer.name, group


def _snake_case(kind: str) -> str:
    parted = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", parted).lower()


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        about = archive.getinfo(name)
    except KeyError:
        raise ModelError(f"{path} is not a .keras file: it holds no {name}") from None
    if about.file_size > _LARGEST[name]:
        raise ModelError(f"{name} in {path} unpacks to {about.file_size} bytes, which is too large")
    return archive.read(name)
