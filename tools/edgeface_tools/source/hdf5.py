"""Opens untrusted HDF5 files as data.

Takes in a path or a file, hands on its groups and plain arrays of numbers. Any fault of a file is
reported in one sentence; links and datasets that read other files of this machine are refused.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from edgeface.errors import ModelError
from edgeface_tools.network.graph import Weights

_LARGEST_WEIGHTS = 1 << 30  # bytes of one array; a face network's has a hundredth of it
_HEAP = b"GCOL\x01"  # signature and version of a global heap collection
_OBJECT_HEADER = struct.Struct("<HHIQ")  # index (0: free space), references, reserved, size


@contextmanager
def opened(path: Path, content: bytes | None = None) -> Iterator[h5py.File]:
    """The open file (`content` where it is inside another one).

    Within the context, anything that is not as Keras writes it raises ModelError.
    """
    try:
        with h5py.File(path if content is None else io.BytesIO(content), "r") as file:
            _check_heaps(path.read_bytes() if content is None else content)
            yield file
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read as an HDF5 file ({_first_line(error)}); copy it again"
        ) from None
    except ModelError:
        raise
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ModelError(
            f"{path} is not a complete Keras model of a known form ({_first_line(error)})"
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


def _check_heaps(data: bytes) -> None:
    """ValueError where the objects of a global heap do not fill it.

    Where a damaged size means no step forward, HDF5 itself would loop without end (HDF5 File Format
    Specification 3.0, III.E, with sizes of 8 bytes, as Keras writes them).
    """
    start = data.find(_HEAP)
    while start >= 0:
        at = start + 16  # after signature, version and, in its last 8 bytes, the heap's size
        end = start + int.from_bytes(data[at - 8 : at], "little")
        while at + _OBJECT_HEADER.size <= end <= len(data):
            index, _, _, length = _OBJECT_HEADER.unpack_from(data, at)
            step = _OBJECT_HEADER.size + length + -length % 8 if index else length
            if step < _OBJECT_HEADER.size:
                break
            at += step
        if not end - _OBJECT_HEADER.size < at <= end <= len(data):
            raise ValueError("a list of names in it does not end where it should")
        start = data.find(_HEAP, start + 1)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
