"""Reads a whole model saved in Keras's HDF5 format (`model.save("x.h5")`) without Keras.

Takes in a path, hands on a `Graph` rebuilt from the recorded layer list and weights. Nothing in
the file is run, and no other file is opened on its behalf. It never simplifies what it reads.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from edgeface.errors import ModelError
from edgeface_tools.network.graph import Graph, Weights
from edgeface_tools.source.hdf5 import opened, plain_array
from edgeface_tools.source.keras_config import network_of
from edgeface_tools.source.keras_layers import Layer

_SAME = {"depthwise_kernel": "kernel"}  # Keras 3 calls both kernel


def read_legacy_h5(path: Path) -> Graph:
    """The network in a full-model HDF5 file; ModelError says what is unusable."""
    with opened(path) as file:
        recorded = file.attrs.get("model_config")
        if recorded is None:
            raise ModelError(
                f"{path} holds weights only, without the network; name it with --architecture"
            )
        stored = file["model_weights"]

        def weights(layer: Layer, array: str) -> Weights:
            return named_array(stored, layer.name, array)

        return network_of(recorded, weights, str(path))


def named_array(stored: h5py.Group, layer: str, array: str) -> Weights:
    """One array of a layer, found by the last part of its name (`conv/kernel:0`)."""
    group = stored[layer]
    for entry in group.attrs["weight_names"]:
        path = entry.decode() if isinstance(entry, bytes) else str(entry)
        found = path.rpartition("/")[2].partition(":")[0]
        if found in (array, _SAME.get(array)):
            return plain_array(group[path], layer)
    raise ModelError(f"the layer {layer!r} has no stored weights {array!r}")
