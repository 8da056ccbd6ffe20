"""The gallery's file: how people and their templates lie on disk (docs/gallery-format.md).

Takes in and hands on `Contents`; knows the bytes, not what they mean for a decision. One
safetensors file that any safetensors reader opens, its header written in one canonical way:

    scales      F32 (templates,)           value of a number = its int8 * scale
    closeness   F32 (people,)              1 / length of the sum of a person's templates
    counts      I32 (people,)              templates of each person, in the order of the names
    days        I32 (templates,)           days since 1970 when added; may be missing
    embeddings  I8  (templates, numbers)   person after person
    names       U8  (bytes,)               UTF-8, in byte order, each ended by a line feed
    sha256      U8  (32,)                  SHA-256 of every byte of the file before these 32

with the model's identity and the generation in the header's metadata. The digest is the file's
last tensor, so that any changed bit is noticed before a score is computed. A sealed file
(encryption.py) is this file encrypted.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeface.errors import GalleryError
from edgeface.gallery.contents import Contents, is_consistent, wrong_value
from edgeface.gallery.encryption import is_sealed, seal, unseal
from edgeface.system.storage import Folder, open_regular

FORMAT = "edgeface-gallery-1"
_DIGEST_BYTES = 32
READ_WHOLE = 32 << 20  # bytes: smaller files are copied, so that nobody can cut them under us
_DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
}


class DamagedGallery(GalleryError):
    """A gallery file whose bytes are not those that were written."""


def read_contents(path: Path, key: bytes | None = None, folder: Folder | None = None) -> Contents:
    """Read and check a gallery file, an entry of `folder` where that is open already.

    Raises FileNotFoundError, DamagedGallery for bytes that were never written, and GalleryError
    for a file of another format, that cannot be read, that `key` does not open, or that holds what
    EdgeFace would never have written (a name not in its one form, a template of another length).
    """
    try:
        data, digest = _read(path, folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.EIO:
            raise DamagedGallery(
                f"the gallery {path} is damaged (the disk does not give it back: {error.strerror})"
            ) from None
        if path.is_symlink():
            raise linked(path) from None
        raise GalleryError(
            f"cannot read the gallery {path}: {error.strerror}; check its owner, permissions and "
            "kind"
        ) from None
    body = data[:-_DIGEST_BYTES]
    if digest != data[-_DIGEST_BYTES:]:
        raise DamagedGallery(f"the gallery {path} is damaged (its checksum does not fit)")
    if is_sealed(data):
        return _parse(memoryview(unseal(body, key, path)), path)
    if key is not None:
        raise GalleryError(
            f"the gallery {path} is not encrypted, though a key is given; encrypt it with: "
            "edgeface gallery encrypt (or leave out the key)"
        )
    return _parse(body, path)


def linked(path: Path) -> GalleryError:
    """A gallery that is a symbolic link: who is removed would stay in the file it leads to."""
    return GalleryError(
        f"the gallery {path} is a symbolic link, which is not followed; name the file that it "
        f"leads to: {path.parent / os.readlink(path)}"
    )


def is_sealed_file(path: Path) -> bool:
    """Whether a gallery file is encrypted; False if there is none."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return is_sealed(file.read(64))
    except OSError:
        return False


def to_chunks(contents: Contents, key: bytes | None = None) -> Iterator[bytes | memoryview]:
    """The file's bytes, part after part, sealed if there is a key.

    Without a key equal contents give equal bytes.
    """
    chunks = _plain_chunks(contents)
    if key is not None:
        chunks = iter(seal(b"".join(chunks), key))
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    yield digest.digest()


def _plain_chunks(contents: Contents) -> Iterator[bytes | memoryview]:
    """All but the file's digest (of a sealed file: all that is encrypted)."""
    yield _header(contents)
    for name, _, _ in _layout(contents)[:-1]:
        if name == "names":
            yield contents.names
        else:
            array = contents.templates if name == "embeddings" else getattr(contents, name)
            yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _layout(contents: Contents) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    """Name, type and shape of each tensor in the file's order."""
    count, numbers = contents.templates.shape
    people = len(contents.counts)
    return (
        ("scales", "F32", (count,)),
        ("closeness", "F32", (people,)),
        ("counts", "I32", (people,)),
        *((("days", "I32", (count,)),) if contents.days is not None else ()),
        ("embeddings", "I8", (count, numbers)),
        ("names", "U8", (len(contents.names),)),
        ("sha256", "U8", (_DIGEST_BYTES,)),
    )


def _header(contents: Contents) -> bytes:
    """Length and JSON, padded so that the tensors start at a multiple of 8 bytes."""
    entries: dict[str, object] = {
        "__metadata__": {
            "format": FORMAT,
            "model": contents.model_identity,
            "generation": str(contents.generation),
        }
    }
    start = 0
    for name, kind, shape in _layout(contents):
        end = start + int(np.prod(shape)) * _DTYPES[kind].itemsize
        entries[name] = {"dtype": kind, "shape": shape, "data_offsets": (start, end)}
        start = end
    text = msgspec.json.encode(entries)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


class _Metadata(msgspec.Struct):
    metadata: dict[str, str] = msgspec.field(name="__metadata__")


class _Entry(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


class _Header(_Metadata):
    """What must stand in the header; that nothing else does is seen by writing it again."""

    scales: _Entry
    closeness: _Entry
    counts: _Entry
    embeddings: _Entry
    names: _Entry
    days: _Entry | None = None


def _parse(data: memoryview, path: Path) -> Contents:
    """The contents in a file's bytes before its digest, which is known to be right."""
    start = 8 + int.from_bytes(data[:8], "little")
    metadata = _metadata(data[8:start], path)
    if metadata.get("format") != FORMAT:
        raise GalleryError(
            f"the gallery {path} has format {metadata.get('format')}, this version reads {FORMAT}; "
            "use the EdgeFace version that wrote it"
        )
    try:
        header = msgspec.json.decode(data[8:start], type=_Header)

        def tensor(entry: _Entry) -> NDArray[Any]:
            here, end = entry.data_offsets
            part = np.frombuffer(data[start + here : start + end], _DTYPES[entry.dtype])
            return part.reshape(entry.shape)

        contents = Contents(
            metadata["model"],
            int(metadata["generation"]),
            tensor(header.names).tobytes(),
            tensor(header.counts),
            tensor(header.closeness),
            tensor(header.embeddings),
            tensor(header.scales),
            None if header.days is None else tensor(header.days),
        )
        sound = (
            _header(contents) == bytes(data[:start])
            and start + header.names.data_offsets[1] == len(data)
            and is_consistent(contents)
        )
        problem = wrong_value(contents) if sound else None
    except (msgspec.DecodeError, UnicodeError, KeyError, ValueError, IndexError, OverflowError):
        sound = False
    if not sound:
        raise DamagedGallery(f"the gallery {path} contradicts itself")
    if problem is not None:  # no accident, since the digest fits: somebody made it so
        raise GalleryError(
            f"{path} was not written by EdgeFace: {problem}, so nothing in it is used; restore a "
            "good one with: edgeface gallery restore, or export it again where it comes from"
        )
    return contents


def _metadata(header: memoryview, path: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(header, type=_Metadata).metadata
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise DamagedGallery(f"{path} is not a gallery") from None


def _read(path: Path, folder: Folder | None) -> tuple[memoryview, bytes]:
    """A file's bytes (a copy of a small one, a mapping of a large one) and the digest of all but
    its last 32."""
    handle = open_regular(path) if folder is None else folder.open(path.name)
    with os.fdopen(handle, "rb") as file:
        size = os.fstat(handle).st_size
        if size < max(READ_WHOLE, 2 * _DIGEST_BYTES):  # nothing at all cannot be mapped
            data = memoryview(file.read())
            return data, hashlib.sha256(data[:-_DIGEST_BYTES]).digest()
        # Read, not only mapped: what the disk does not give back is then an error and no signal.
        digest = hashlib.sha256()
        left = size - _DIGEST_BYTES
        while part := file.read(min(left, 1 << 20)):
            digest.update(part)
            left -= len(part)
        return memoryview(mmap.mmap(handle, 0, access=mmap.ACCESS_READ)), digest.digest()
