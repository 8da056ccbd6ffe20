"""HDF5 files from strangers, opened as data.

Takes in a path or a file, hands on its groups and plain arrays of numbers. Whatever is wrong with a
file becomes one sentence; links and datasets that read other files of this machine are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from edgeface.errors import ModelError
from edgeface_tools.network.graph import Weights

_LARGEST_WEIGHTS = 1 << 30  # bytes of one array; a face network's has a hundredth of it


@contextmanager
def opened(path: Path, content: BinaryIO | None = None) -> Iterator[h5py.File]:
    """The open file (`content` where it is inside another one).

    ModelError for anything in it that is not as Keras writes it, while the context lasts.
    """
    try:
        with h5py.File(content or path, "r") as file:
            yield file
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read as an HDF5 file ({_first_line(error)}); copy it again"
        ) from None
    except ModelError:
        raise
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ModelError(
            f"{path} is not a whole Keras model as this tool knows it ({_first_line(error)})"
        ) from None


def plain_array(dataset: Any, layer: str) -> Weights:
    """The numbers of one dataset as float32."""
    # External and virtual datasets read other files of this machine into the model.
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise ModelError(f"the weights of the layer {layer!r} are not stored in the file itself")
    if dataset.nbytes > _LARGEST_WEIGHTS or dataset.dtype.kind != "f":
        raise ModelError(
            f"the weights of the layer {layer!r} are {dataset.nbytes} bytes of {dataset.dtype}; "
            "floating-point numbers of at most 1 GiB are expected"
        )
    values = np.asarray(dataset, np.float32)
    if not np.isfinite(values).all():
        raise ModelError(f"the weights of the layer {layer!r} hold numbers that are not finite")
    return values


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
