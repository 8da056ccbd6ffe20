"""Memory: what a door remembers of its hub, in a file beside its gallery.

Takes in a gallery's path and key, hands on a `Memory` and writes the next one. The file has mode
0600 and is sealed with the gallery's key where there is one, since it holds names. It judges
nothing and opens no gallery.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from edgeface.errors import GalleryError
from edgeface.gallery.encryption import is_sealed, seal, unseal
from edgeface.system.storage import open_regular, write_atomically

_LARGEST = 64 << 20  # bytes: names and digests of several hundred thousand people


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """door: this door's name. hub: its hub's public key, 64 hexadecimal digits. source: a folder
    or the URL from which it takes packages, "" for files alone; token, ca: for the URL.
    generation: the last that it took. made: when the hub made that (seconds since 1970).
    held: by name the digest of the templates, for everybody whom the hub has sent.
    """

    door: str
    hub: str
    source: str = ""
    token: str = ""
    ca: str = ""
    generation: int = 0
    made: int = 0
    held: dict[str, str] = {}


def memory_file(gallery: Path) -> Path:
    """Where it is kept."""
    return gallery.with_name(f"{gallery.name}.hub")


def recall(gallery: Path, key: bytes | None) -> Memory:
    """What the door remembers. GalleryError where it belongs to no hub, and where its file cannot
    be read: without it an old package could bring back who was removed."""
    path = memory_file(gallery)
    try:
        with open(open_regular(path), "rb") as file:
            data = file.read(_LARGEST)
        if is_sealed(data):
            data = unseal(memoryview(data), key, path)
        return msgspec.json.decode(data, type=Memory)
    except FileNotFoundError:
        raise GalleryError(
            f"the gallery {gallery} belongs to no hub; run: edgeface door join NAME KEY"
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise GalleryError(
            f"cannot read {path} ({error}), which says what this door got from its hub last; the "
            "gallery stays as it is: restore the file, or delete it and join the hub again"
        ) from None


def remember(gallery: Path, key: bytes | None, memory: Memory) -> None:
    """Write it, durably. Raises OSError."""
    plain = msgspec.json.encode(memory)
    chunks = (plain,) if key is None else seal(plain, key)
    write_atomically(memory_file(gallery), chunks)


def change_memory_key(gallery: Path, key: bytes | None, new_key: bytes | None) -> None:
    """Seal it with the gallery's new key, where there is such a file."""
    if memory_file(gallery).exists():
        remember(gallery, new_key, recall(gallery, key))


def digest(rows: bytes) -> str:
    """The digest of a person's templates."""
    return hashlib.sha256(rows).hexdigest()[:32]
