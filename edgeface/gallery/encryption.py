"""Sealing: a gallery encrypted at rest with AES-256-GCM, and where its key comes from.

Takes in a gallery's bytes and a key of 32 bytes, hands on the sealed bytes, and back. The key is
never stored beside the gallery, shown or logged. Needs the package `cryptography` (the extra
`crypto`), which is imported only when a gallery is sealed.

    magic "EDGEFACE-SEALED\\x01" (16 bytes) | nonce (12) | ciphertext and tag (16)

The magic is authenticated together with the ciphertext. A new random nonce for every write: safe
for 2^32 writes with one key (NIST SP 800-38D, section 8.3).
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from edgeface.errors import GalleryError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"EDGEFACE-SEALED\x01"
KEY_BYTES = 32
CREDENTIAL = "edgeface-gallery-key"
_NONCE_BYTES = 12


def is_sealed(data: bytes | memoryview) -> bool:
    """Whether a gallery file with this beginning is encrypted."""
    return bytes(data[: len(MAGIC)]) == MAGIC


def seal(plain: bytes, key: bytes) -> tuple[bytes, bytes, bytes]:
    """Magic, nonce and ciphertext of `plain`."""
    nonce = os.urandom(_NONCE_BYTES)
    return MAGIC, nonce, _cipher(key).encrypt(nonce, plain, MAGIC)


def unseal(sealed: memoryview, key: bytes | None, path: Path) -> bytes:
    """What was sealed; GalleryError if there is no key or the wrong one."""
    if key is None:
        raise GalleryError(
            f"the gallery {path} is encrypted; give its key with --key-file, "
            "EDGEFACE_GALLERY_KEY_FILE or systemd's LoadCredential="
        )
    from cryptography.exceptions import InvalidTag

    start = len(MAGIC) + _NONCE_BYTES
    try:
        return _cipher(key).decrypt(bytes(sealed[len(MAGIC) : start]), sealed[start:], MAGIC)
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
    named = os.environ.get("EDGEFACE_GALLERY_KEY_FILE")
    if key_file is None and named:
        key_file = Path(named)
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
    return read_key(credential)


def read_key(path: Path) -> bytes:
    """The key in a file: 32 bytes, or 64 hexadecimal digits."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(1024)
    except OSError as error:
        raise GalleryError(f"cannot read the key file {path}: {error.strerror}") from None
    if stat.S_ISREG(mode) and mode & stat.S_IROTH:
        raise GalleryError(f"everyone can read the key file {path}; run: chmod 600 {path}")
    return _as_key(content, f"the key file {path}")


def _as_key(content: bytes, source: str) -> bytes:
    if len(content) == KEY_BYTES:
        return content
    if re.fullmatch(rb"[0-9a-fA-F]{64}", content.strip()):
        return bytes.fromhex(content.decode())
    raise GalleryError(
        f"{source} holds no key; it must be 32 bytes or 64 hexadecimal digits, for example "
        "from: openssl rand -hex 32"
    )


def _cipher(key: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise GalleryError(
            "an encrypted gallery needs the package cryptography; install it with: "
            "pip install 'edgeface[crypto]'"
        ) from None
    return AESGCM(key)
