"""The gallery's file: how people and their templates lie on disk.

Takes in and hands on `Contents`; knows the bytes, not what they mean for a decision. One
safetensors file that any safetensors reader opens:

    embeddings  I8  (templates, numbers)   value = int8 * scale
    scales      F32 (templates,)
    owners      I32 (templates,)           index into the names
    names       U8  (bytes,)               JSON list of the people's names
    sha256      U8  (32,)                  SHA-256 of every byte of the file before these 32

with the model's identity in the header's metadata. The digest is the file's last tensor, so that
any changed bit is noticed before a score is computed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from edgeface.errors import GalleryError
from edgeface.storage import write_atomically

FORMAT = "edgeface-gallery-1"
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Contents:
    """Everything a gallery file holds. `owners` points into `names`; every name has a template."""

    model_identity: str
    names: list[str]
    owners: NDArray[np.int32]
    embeddings: NDArray[np.int8]
    scales: NDArray[np.float32]


def read_contents(path: Path) -> Contents:
    """Read and check a gallery file; GalleryError says what is wrong with it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise GalleryError(f"cannot read the gallery {path}: {error.strerror}") from None
    if hashlib.sha256(data[:-_DIGEST_BYTES]).digest() != data[-_DIGEST_BYTES:]:
        raise _damaged(path)
    try:
        tensors = load(data)
        metadata = _metadata(data)
        contents = Contents(
            metadata["model"],
            msgspec.json.decode(tensors["names"].tobytes(), type=list[str]),
            tensors["owners"],
            tensors["embeddings"],
            tensors["scales"],
        )
    except (SafetensorError, msgspec.DecodeError, KeyError, ValueError):
        raise _damaged(path) from None
    if metadata.get("format") != FORMAT:
        raise GalleryError(
            f"the gallery {path} has format {metadata.get('format')}, this version reads {FORMAT}; "
            "use the EdgeFace version that wrote it"
        )
    if not _consistent(contents):
        raise _damaged(path)
    return contents


def write_contents(path: Path, contents: Contents) -> None:
    """Write a gallery file (0600) in place of the old one; the old one survives any failure.

    Raises GalleryError when the folder or the disk does not take it.
    """
    try:
        write_atomically(path, [to_bytes(contents)])
    except OSError as error:
        raise GalleryError(
            f"cannot write the gallery {path}: {error.strerror}; the old one is unchanged"
        ) from None


def to_bytes(contents: Contents) -> bytes:
    """The file's bytes; equal contents give equal bytes."""
    names = json.dumps(contents.names, ensure_ascii=False, separators=(",", ":")).encode()
    tensors: dict[str, NDArray[Any]] = {
        "embeddings": contents.embeddings,
        "scales": contents.scales,
        "owners": contents.owners,
        "names": np.frombuffer(names, np.uint8),
        "sha256": np.zeros(_DIGEST_BYTES, np.uint8),
    }
    data = save(tensors, {"format": FORMAT, "model": contents.model_identity})
    body = data[:-_DIGEST_BYTES]
    return body + hashlib.sha256(body).digest()


def _metadata(data: bytes) -> dict[str, str]:
    """The header's `__metadata__` (`load` leaves it out)."""
    size = int.from_bytes(data[:8], "little")
    header = msgspec.json.decode(data[8 : 8 + size])
    metadata = header["__metadata__"]
    return msgspec.convert(metadata, dict[str, str])


def _consistent(contents: Contents) -> bool:
    count = len(contents.embeddings)
    owners = contents.owners
    return (
        (contents.embeddings.dtype, contents.scales.dtype, owners.dtype)
        == (np.dtype(np.int8), np.dtype(np.float32), np.dtype(np.int32))
        and contents.embeddings.ndim == 2
        and contents.scales.shape == owners.shape == (count,)
        and bool(np.isfinite(contents.scales).all())
        and len(set(contents.names)) == len(contents.names)
        and set(owners.tolist()) == set(range(len(contents.names)))
    )


def _damaged(path: Path) -> GalleryError:
    return GalleryError(
        f"the gallery {path} is damaged (its checksum does not fit); restore it from a backup, or "
        "move it away and enroll again"
    )
