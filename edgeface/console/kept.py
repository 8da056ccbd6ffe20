"""Kept: the console's own small files, and the form in which they hold secrets.

Takes in the path of a file in the console's folder, reads it without following a link and writes it
whole, with mode 0600. A secret goes into no file, only its hash.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgeface.errors import ConfigError
from edgeface.system.storage import Folder, write_atomically


def hashed(secret: str) -> str:
    """What is kept of a secret that is long and random."""
    return hashlib.sha256(secret.encode()).hexdigest()


def read(path: Path, most: int) -> bytes:
    """The first `most` bytes of a file; OSError where there is none to be read."""
    with Folder(path.parent) as folder, open(folder.open(path.name), "rb") as file:
        return file.read(most)


def write(path: Path, content: bytes) -> None:
    """Replace a file; ConfigError says why it cannot be."""
    try:
        write_atomically(path, [content])
    except OSError as error:
        raise ConfigError(f"cannot write {path} ({error.strerror}); run this with sudo") from None
