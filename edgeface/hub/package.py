"""Package: the people of one door, or what changed of them, signed by the hub.

Takes in a `Package` and the hub's private key, hands on bytes, and back with the public key. All
that a door must rely on is inside what is signed: which door, which model, from which generation to
which, until when. It opens no file and knows no clock: whoever applies it judges generation and
time. Needs `cryptography`, imported when a package is signed or checked.

    magic "EDGEFACE-DOOR\\x01" (14 bytes) | Ed25519 signature (64) | body (MessagePack)

The signature covers the magic and the body.
"""

from __future__ import annotations

import re
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeface.errors import GalleryError
from edgeface.gallery.names import person_name
from edgeface.gallery.search import LARGEST_EMBEDDING, quantize

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAGIC = b"EDGEFACE-DOOR\x01"
LARGEST = 64 << 20  # bytes: a hundred thousand people with four templates each
PATH = "/v1/package"
"""Where a hub is asked for one."""
_SIGNATURE_BYTES = 64
_LARGEST_NUMBER = 127  # in every row that `quantize` makes
HIGHEST = 1 << 53  # generations, and days: any program can hold such a number


class Person(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Somebody who may be at the door, with all their templates: int8 rows, one after the other,
    and for each the day it was added (days since 1970, 0 where nobody knows)."""

    name: str
    rows: bytes
    days: tuple[int, ...]


class Package(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a door's gallery becomes at `generation`.

    base: the generation that it starts from; 0 for a snapshot, which holds everybody. model: the
    model's identity. made, expires: seconds since 1970 (UTC).
    """

    door: str
    model: str
    numbers: int
    base: int
    generation: int
    made: int
    expires: int
    people: tuple[Person, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether it holds everybody, not only what changed."""
        return self.base == 0


def file_name(door: str) -> str:
    """The name of a door's package in a folder; a name may hold what a file's may not."""
    return f"{quote(door, safe=' ')}.edgeface"


def person(
    name: str, templates: NDArray[np.float32], days: NDArray[np.int32] | tuple[int, ...]
) -> Person:
    """Somebody as they travel: templates of unit length, shape (m, n), days of shape (m,)."""
    rows, _ = quantize(templates)
    return Person(name, rows.tobytes(), tuple(int(day) for day in days))


def templates_of(one: Person, numbers: int) -> NDArray[np.float32]:
    """A person's templates as unit vectors, shape (m, numbers)."""
    rows = np.frombuffer(one.rows, np.int8).reshape(-1, numbers).astype(np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def sign(package: Package, key: Ed25519PrivateKey) -> bytes:
    """The package's bytes, which `verify` opens."""
    body = msgspec.msgpack.encode(package)
    return MAGIC + key.sign(MAGIC + body) + body


def verify(data: bytes, public: bytes) -> Package:
    """The package in `data`, which the owner of the public key (32 bytes) signed.

    Raises GalleryError for what was cut short, changed, signed by somebody else, or cannot be
    meant. Nothing but the length is looked at before the signature is checked.
    """
    start = len(MAGIC) + _SIGNATURE_BYTES
    if not start < len(data) <= LARGEST or not data.startswith(MAGIC):
        raise GalleryError(
            "this is no package for a door, or a part of one; get it from the hub again"
        )
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(
            data[len(MAGIC) : start], MAGIC + data[start:]
        )
    except (InvalidSignature, ValueError):
        raise GalleryError(
            "the package was not signed by this door's hub, or was changed on its way; nothing "
            "was taken from it"
        ) from None
    try:
        package = msgspec.msgpack.decode(data[start:], type=Package)
    except msgspec.MsgspecError as error:
        raise GalleryError(f"the hub's package is of another version ({error})") from None
    if problem := _wrong(package):
        raise GalleryError(f"the hub's package cannot be used: {problem}; report this to its owner")
    return package


def public_key(text: str) -> bytes:
    """The public key (32 bytes) that 64 hexadecimal digits say. GalleryError if they do not."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text.strip()):
        raise GalleryError(
            "a hub's key is 64 hexadecimal digits; copy it from: edgeface hub add-door"
        )
    return bytes.fromhex(text.strip())


def _ed25519() -> ModuleType:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise GalleryError(
            "a hub's packages need the package cryptography; install it with: "
            "pip install 'edgeface[crypto]'"
        ) from None
    return ed25519


def _wrong(package: Package) -> str | None:
    """What no hub should have signed, None if nothing."""
    if not 0 < package.numbers <= LARGEST_EMBEDDING:
        return "its embeddings have no possible size"
    if not 0 <= package.base < package.generation < HIGHEST:
        return "its generations are out of order"
    names = [one.name for one in package.people]
    everybody = [*names, *package.removed]
    if len(set(everybody)) != len(everybody):
        return "it names somebody twice"
    if package.whole and package.removed:
        return "it removes somebody though it holds everybody"
    return next(filter(None, (_wrong_person(one, package.numbers) for one in package.people)), None)


def _wrong_person(one: Person, numbers: int) -> str | None:
    try:
        if person_name(one.name) != one.name:
            return f"the name {one.name!r} is not in its one form"
    except GalleryError as error:
        return str(error)
    count, rest = divmod(len(one.rows), numbers)
    if rest or not count or count != len(one.days):
        return f"the templates of {one.name} are not whole"
    if not all(0 <= day < 1 << 31 for day in one.days):
        return f"the days of {one.name} are none"
    largest = np.abs(np.frombuffer(one.rows, np.int8).reshape(-1, numbers).astype(np.int16))
    if not (largest.max(axis=1) == _LARGEST_NUMBER).all():
        return f"a template of {one.name} is not in its one form"
    return None
