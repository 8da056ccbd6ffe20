"""Ownership: a command that root runs on a gallery in another user's folder, runs as that user.

Takes in the command's parameters before it has opened anything, gives up root's rights where
somebody else controls the way to the gallery, and refuses files which that user may not use, with
one sentence. It opens nothing but files with keys, which are root's to name.
"""

from __future__ import annotations

import contextlib
import os
import pkgutil
import stat
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import edgeface
from edgeface.errors import ConfigError
from edgeface.gallery.encryption import hold_key
from edgeface.gallery.gallery import default_gallery_path
from edgeface.system.privileges import become_owner, controller

_KEY_FILES = {"key_file", "new_key_file", "from_key_file"}
# What libraries import in the middle of their work.
_IMPORTED_LATE = (
    "ai_edge_litert.interpreter",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.kdf.argon2",
    "cv2",
    "encodings.cp437",
    "encodings.idna",
    "simsimd",
    "tflite_runtime.interpreter",
    "zipfile",
)


def work_as_owner(gallery: Path | None, parameters: Mapping[str, Any] | None = None) -> None:
    """Where root works on a gallery in another user's folder, go on as that user for good.

    Raises ConfigError for a file among the command's `parameters` that the user may not use.
    """
    if os.geteuid() != 0:
        return
    path = gallery or default_gallery_path()
    if controller(path) is None:
        return
    parameters = parameters or {}
    for name in _KEY_FILES:
        hold_key(parameters.get(name))
    if not _for_everybody(Path(os.__file__)):
        _import_everything()
    owner = become_owner(path)
    for file in _files(parameters):
        if owner is not None and not _may_use(file):
            raise ConfigError(
                f"this works as the user {owner.name}, to whom the folder of {path} belongs and "
                f"who may not use {file}; copy it to where they may, for example /var/tmp"
            )


def _files(parameters: Mapping[str, Any]) -> Iterator[Path]:
    for name, value in parameters.items():
        for file in value if isinstance(value, tuple) else (value,):
            if isinstance(file, Path) and name not in _KEY_FILES:
                yield file


def _may_use(file: Path) -> bool:
    """Whether a file can be read, or is not there, which the command itself will say."""
    try:
        file.stat()
    except PermissionError:
        return False
    except OSError:
        return True
    return os.access(file, os.R_OK)


def _for_everybody(file: Path) -> bool:
    """Whether every user may read a file."""
    above = all(folder.stat().st_mode & stat.S_IXOTH for folder in file.parents)
    return above and bool(file.stat().st_mode & stat.S_IROTH)


def _import_everything() -> None:
    """With a Python in root's own home nothing can be imported any more once root's rights are
    gone: import what any command needs, which takes a second or two."""
    within = pkgutil.walk_packages(edgeface.__path__, "edgeface.")
    ours = [module.name for module in within if not module.name.endswith("__main__")]
    for name in (*ours, *_IMPORTED_LATE):
        with contextlib.suppress(ImportError):
            import_module(name)
