"""Named arrays in a file, for caches and checkpoints: safetensors, written whole or not at all.

Takes in arrays by name and a key that identifies their origin, hands them on again while the key is
the same. A file that is damaged, or has another key, counts as missing. Nothing in such a file is
ever run.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from edgeface.errors import ConfigError
from edgeface.system.storage import write_atomically

Arrays = dict[str, NDArray[Any]]

_KEY = "key"


def save_arrays(path: Path, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays; after a kill or a power cut there is the old file or the new one."""
    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    try:
        write_atomically(path, [save(whole, {_KEY: key})])
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; free some space there") from None


def load_arrays(path: Path, key: str) -> Arrays | None:
    """The arrays in a file that was written with this key; None for any other."""
    try:
        content = path.read_bytes()
        if _key_of(content) != key:
            return None
        return load(content)
    except (FileNotFoundError, SafetensorError, ValueError, struct.error):
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def _key_of(content: bytes) -> str | None:
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    key = header.get("__metadata__", {}).get(_KEY) if isinstance(header, dict) else None
    return key if isinstance(key, str) else None
