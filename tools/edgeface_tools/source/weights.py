"""Reads files that hold only weights: Keras HDF5 files, and OpenFace's folder of CSV files.

Takes in a path, hands on a network that is known by name, with these weights. Files are read as
numbers only. Errors name an array that is missing or has another shape.
"""

from __future__ import annotations

from itertools import accumulate
from math import prod
from operator import mul
from pathlib import Path

import numpy as np

from edgeface.errors import ModelError
from edgeface_tools.network.graph import Graph, Shape, Weights
from edgeface_tools.source.architectures import ARCHITECTURES
from edgeface_tools.source.hdf5 import opened
from edgeface_tools.source.keras2 import named_array
from edgeface_tools.source.keras3 import named_groups, numbered_array

_LARGEST_CSV = 64 << 20  # bytes; the largest of NN4-small2 has a tenth of it
_CSV_LAYER = {"dense_layer": "dense"}
_CSV_ARRAY = {
    "kernel": "w", "bias": "b", "gamma": "w", "beta": "b", "moving_mean": "m",
    "moving_variance": "v",
}  # fmt: skip


def read_weights_h5(path: Path, architecture: str) -> Graph:
    """The named network with the weights of a legacy HDF5 file or a `.weights.h5` of Keras 3."""
    with opened(path) as file:
        groups = named_groups(file)
        stored = file.get("model_weights", file)

        def weights(layer: str, array: str, arrays: tuple[str, ...], shape: Shape) -> Weights:
            known = groups if groups else stored
            if layer not in known:
                raise ModelError(
                    f"{path} has no weights for the layer {layer!r} of {architecture}; check "
                    "--architecture, or save the whole model as .keras"
                )
            if groups:
                return numbered_array(groups, layer, arrays.index(array))
            return named_array(stored, layer, array)

        return ARCHITECTURES[architecture].build(weights)


def read_openface_csv(folder: Path) -> Graph:
    """NN4-small2 with the weights of a folder of CSV files in OpenFace's naming."""

    def weights(layer: str, array: str, arrays: tuple[str, ...], shape: Shape) -> Weights:
        name = f"{_CSV_LAYER.get(layer, layer)}_{_CSV_ARRAY[array]}.csv"
        stored = tuple(shape[i] for i in {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[len(shape)])
        values = _read_csv(folder / name)
        # One row for the whole array, one per step of its leading axes, or one per number.
        if values.size != prod(stored) or values.shape[0] not in (1, *accumulate(stored, mul)):
            raise ModelError(
                f"{folder / name} holds numbers of the shape {values.shape}, nn4_small2 needs "
                f"{stored} (outputs first)"
            )
        # Torch's (outputs, inputs, height, width) and (outputs, inputs) to channels last.
        return np.ascontiguousarray(
            values.reshape(stored).transpose({4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[len(stored)])
        )

    return ARCHITECTURES["nn4_small2"].build(weights)


def _read_csv(path: Path) -> Weights:
    try:
        if path.stat().st_size > _LARGEST_CSV:
            raise ModelError(f"{path} is too large for an array of nn4_small2")
        values = np.loadtxt(path, np.float32, delimiter=",", ndmin=2, encoding="utf-8")
    except FileNotFoundError:
        raise ModelError(
            f"the file {path.name} is missing in {path.parent}; copy the folder again"
        ) from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise ModelError(f"{path} holds something other than numbers ({error})") from None
    if not np.isfinite(values).all():
        raise ModelError(f"{path} holds numbers that are not finite")
    return values
