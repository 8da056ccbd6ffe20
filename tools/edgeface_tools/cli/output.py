"""Output: writes the commands' files, completely or not at all."""

from __future__ import annotations

from pathlib import Path

from edgeface.errors import ConfigError
from edgeface.system.storage import write_atomically


def write_output(path: Path, content: bytes) -> None:
    """Write a file that everybody may read; ConfigError says why it cannot be written."""
    try:
        write_atomically(path.absolute(), [content], mode=0o644)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
