"""Gallery files that EdgeFace itself would never write, with a digest that fits.

Takes in a gallery's contents and what to change in them, leaves a file that only the reader's own
rules can refuse.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeface.gallery.contents import Contents
from edgeface.gallery.file import read_contents, to_chunks


def craft(path: Path, contents: Contents) -> Path:
    """Write the contents as they are, which nothing checks."""
    path.write_bytes(b"".join(to_chunks(contents)))
    path.chmod(0o600)
    return path


def renamed(source: Path, *names: str) -> Contents:
    """A gallery's contents with other names for its people, in the order of the names' bytes."""
    contents = read_contents(source)
    encoded = sorted(name.encode() for name in names)
    assert len(encoded) == len(contents.counts)
    return replace(contents, names=b"".join(name + b"\n" for name in encoded))


def scaled(source: Path, factor: float) -> Contents:
    """A gallery's contents with its templates that much longer."""
    contents = read_contents(source)
    return replace(contents, scales=(contents.scales * np.float32(factor)).astype(np.float32))
