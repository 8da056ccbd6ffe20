"""Keys: what a hub signs with, and what it seals templates with, all derived from one secret.

Takes in the hub's key file (64 hexadecimal digits), hands on the signing key and one sealing key
for each site. Whoever has the file is the hub; it never lies in the database. It stores nothing
but a new file, on request.

    sealed template = nonce (12 bytes) | AES-256-GCM of MessagePack [rows, days] and tag (16)

The person's and the model's identity are authenticated with it, so that a row moved to another
person opens nothing.
"""

from __future__ import annotations

import os
import secrets
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgeface.errors import ConfigError, GalleryError
from edgeface.gallery.encryption import KEY_BYTES, Passphrase, read_key
from edgeface.system.storage import write_new

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class Templates(msgspec.Struct, frozen=True, array_like=True):
    """A person's templates for one model: int8 rows, and the day of each."""

    rows: bytes
    days: tuple[int, ...]


class HubKeys:
    """The keys of one hub."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def read(cls, file: Path) -> HubKeys:
        """From its file. Raises GalleryError for a file that holds no key or that others may
        read, and ConfigError for a passphrase."""
        key = read_key(file)
        if isinstance(key, Passphrase):
            raise ConfigError(
                f"the hub's key file {file} holds a passphrase; make one with: edgeface hub init"
            )
        return cls(key)

    @classmethod
    def make(cls, file: Path) -> HubKeys:
        """A new secret in a new file (0600); that of the file where there is one."""
        try:
            write_new(file, [f"{secrets.token_hex(KEY_BYTES)}\n".encode()])
        except FileExistsError:
            pass
        except OSError as error:
            raise ConfigError(
                f"cannot write the hub's key file {file} ({error.strerror}); name another folder "
                "with --hub-key-file"
            ) from None
        return cls.read(file)

    @property
    def signing(self) -> Ed25519PrivateKey:
        """What packages are signed with."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(_derived(self._secret, "packages"))

    @property
    def public(self) -> str:
        """The public key, 64 hexadecimal digits, which every door is given."""
        return self.signing.public_key().public_bytes_raw().hex()

    def seal(self, site: int, person: int, model: str, templates: Templates) -> bytes:
        """Somebody's templates as the database keeps them."""
        nonce = os.urandom(_NONCE_BYTES)
        plain = msgspec.msgpack.encode(templates)
        return nonce + self._cipher(site).encrypt(nonce, plain, _place(person, model))

    def unseal(self, site: int, person: int, model: str, sealed: bytes) -> Templates:
        """What was sealed. GalleryError for another key, site, person or model."""
        from cryptography.exceptions import InvalidTag

        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            plain = self._cipher(site).decrypt(nonce, rest, _place(person, model))
            return msgspec.msgpack.decode(plain, type=Templates)
        except (InvalidTag, ValueError, msgspec.MsgspecError):
            raise GalleryError(
                "the hub's key does not open the templates in its database; give the key file "
                "that the hub was made with"
            ) from None

    def _cipher(self, site: int) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(_derived(self._secret, f"templates of site {site}"))


def _place(person: int, model: str) -> bytes:
    return f"{person} {model}".encode()


@cache
def _derived(secret: bytes, what: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = f"edgeface hub 1: {what}".encode()
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(secret)
