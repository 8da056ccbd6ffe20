"""Sealing: a gallery encrypted at rest with AES-256-GCM, and where its key comes from.

Takes in a gallery's bytes and a key of 32 bytes, hands on the sealed bytes, and back. The key is
never stored beside the gallery, shown or logged. Needs the package `cryptography` (the extra
`crypto`), which is imported only when a gallery is sealed.

    magic "EDGEFACE-SEALED\\x01" (16 bytes) | nonce (12) | ciphertext and tag (16)

The magic is authenticated together with the ciphertext. A new random nonce for every write: safe
for 2^32 writes with one key (NIST SP 800-38D, section 8.3).
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from edgeface.errors import GalleryError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"EDGEFACE-SEALED\x01"
KEY_BYTES = 32
CREDENTIAL = "edgeface-gallery-key"
_MAGIC_PASSPHRASE = b"EDGEFACE-SEALED\x02"
_NONCE_BYTES = 12
_SALT_BYTES = 16
_SHORTEST_PASSPHRASE = 16  # characters in UTF-8
_LONGEST = 1024  # bytes read of a key file


def is_sealed(data: bytes | memoryview) -> bool:
    """Whether a gallery file with this beginning is encrypted."""
    return bytes(data[: len(MAGIC)]) in (MAGIC, _MAGIC_PASSPHRASE)


class Passphrase(bytes):
    """Text that a person made up, in place of a key: the key itself is derived from it.

    `raw` are the 32 bytes that an earlier version took for a key as they were, else nothing.
    """

    raw = b""


def seal(plain: bytes, key: bytes) -> tuple[bytes, ...]:
    """Magic, for a passphrase the salt, nonce and ciphertext of `plain`."""
    nonce = os.urandom(_NONCE_BYTES)
    if not isinstance(key, Passphrase):
        return MAGIC, nonce, _cipher(key).encrypt(nonce, plain, MAGIC)
    salt = _salt(key)
    head = _MAGIC_PASSPHRASE + salt
    return head, nonce, _cipher(_derived(key, salt)).encrypt(nonce, plain, head)


def unseal(sealed: memoryview, key: bytes | None, path: Path) -> bytes:
    """What was sealed; GalleryError if there is no key or the wrong one."""
    if key is None:
        raise GalleryError(
            f"the gallery {path} is encrypted; give its key with --key-file, "
            "EDGEFACE_GALLERY_KEY_FILE or systemd's LoadCredential="
        )
    from cryptography.exceptions import InvalidTag

    length = len(MAGIC)
    by_passphrase = bytes(sealed[:length]) == _MAGIC_PASSPHRASE
    if by_passphrase:
        length += _SALT_BYTES
    head, nonce = bytes(sealed[:length]), bytes(sealed[length : length + _NONCE_BYTES])
    try:
        if isinstance(key, Passphrase):
            key = _derived(key, head[len(MAGIC) :]) if by_passphrase else key.raw
        return _cipher(key).decrypt(nonce, sealed[length + _NONCE_BYTES :], head)
    except (InvalidTag, ValueError):
        raise GalleryError(
            f"the key does not open the gallery {path}; give the key that it was encrypted with "
            "(nothing was changed)"
        ) from None


def find_key(key_file: Path | None = None) -> bytes | None:
    """The key to use, or None for plain galleries.

    From `key_file`, else the file named by EDGEFACE_GALLERY_KEY_FILE, else EDGEFACE_GALLERY_KEY
    (64 hexadecimal digits), else the systemd credential `edgeface-gallery-key`. Raises
    GalleryError for a key that cannot be read or is none.
    """
    key_file = _named(key_file)
    if key_file is not None:
        return read_key(key_file)
    if value := os.environ.get("EDGEFACE_GALLERY_KEY"):
        return _as_key(value.encode(), "EDGEFACE_GALLERY_KEY")
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    credential = Path(folder, CREDENTIAL)
    try:
        credential.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        # No key and an unreadable one differ: without its key, a new gallery would be plain.
        raise GalleryError(
            f"cannot look for the gallery's key in {folder} ({error.strerror}); "
            "look why systemd's credentials cannot be read here"
        ) from None
    # Its mode is systemd's: a list of access rights for this service alone shows as the group's.
    return _as_key(_content(credential, others_may_read=True), f"the credential {credential}")


def read_key(path: Path) -> bytes:
    """The key in a file: 32 bytes, 64 hexadecimal digits, or a `Passphrase`.

    Raises GalleryError for a file that is none, or that other users can read.
    """
    content = _held.get(path)
    return _as_key(_content(path) if content is None else content, f"the key file {path}")


def hold_key(key_file: Path | None) -> None:
    """Read the file that `find_key` or `read_key` will ask for, for a process that is about to give
    up the right to. What is wrong with it, those say."""
    path = _named(key_file)
    if path is not None:
        with contextlib.suppress(GalleryError):
            _held[path] = _content(path)


_held: dict[Path, bytes] = {}


def _named(key_file: Path | None) -> Path | None:
    named = os.environ.get("EDGEFACE_GALLERY_KEY_FILE")
    return Path(named) if key_file is None and named else key_file


def _content(path: Path, *, others_may_read: bool = False) -> bytes:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise GalleryError(f"the key file {path} is no ordinary file; name one that is")
            if mode & (stat.S_IRWXG | stat.S_IRWXO) and not others_may_read:
                raise GalleryError(
                    f"others than its owner can use the key file {path} (mode "
                    f"{stat.S_IMODE(mode):04o}); run: chmod 600 {path}"
                )
            return file.read(_LONGEST)
    except OSError as error:
        raise GalleryError(f"cannot read the key file {path}: {error.strerror}") from None


def _as_key(content: bytes, source: str) -> bytes:
    text = content.strip()
    if re.fullmatch(rb"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text.decode())
    if _is_text(text) and len(text) >= _SHORTEST_PASSPHRASE and not _is_hexadecimal(text):
        import logging  # hardly ever needed

        logging.getLogger("edgeface.gallery").warning(
            "%s holds a passphrase, which somebody may guess; a key is better: "
            "openssl rand -hex 32, then edgeface gallery rekey",
            source,
        )
        passphrase = Passphrase(text)
        passphrase.raw = content if len(content) == KEY_BYTES else b""
        return passphrase
    if len(content) == KEY_BYTES:
        return content
    raise GalleryError(
        f"{source} holds no key; it must be 32 bytes or 64 hexadecimal digits, for example "
        f"from: openssl rand -hex 32 (a passphrase has at least {_SHORTEST_PASSPHRASE} characters)"
    )


def _is_text(content: bytes) -> bool:
    try:
        return content.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _is_hexadecimal(text: bytes) -> bool:
    """Such text is a key that was cut off, rather than a passphrase."""
    return re.fullmatch(rb"[0-9a-fA-F]+", text) is not None


@lru_cache(maxsize=4)
def _salt(passphrase: bytes) -> bytes:
    """One a process, new and random, so that a change derives one key and not several."""
    return os.urandom(_SALT_BYTES)


@lru_cache(maxsize=4)
def _derived(passphrase: bytes, salt: bytes) -> bytes:
    """The key of a passphrase: Argon2id with the second set of values of RFC 9106, which takes 64
    MiB and some tenths of a second here, and as much for each guess."""
    try:
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
    except ImportError:
        raise _without_package("cryptography 44 or later") from None
    derivation = Argon2id(salt=salt, length=KEY_BYTES, iterations=3, lanes=4, memory_cost=64 << 10)
    return derivation.derive(passphrase)


def _cipher(key: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise _without_package("cryptography") from None
    return AESGCM(key)


def _without_package(name: str) -> GalleryError:
    return GalleryError(
        f"an encrypted gallery needs the package {name}; install it with: "
        "pip install 'edgeface[crypto]'"
    )
