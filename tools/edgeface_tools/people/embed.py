"""Embeddings of aligned crops, as the runtime makes them.

Takes in a network with its description, or only crops, hands on rows of unit length. It uses the
runtime's own encoder, so that what is measured here is what a device would compute.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.pipeline.encode import Encoder
from edgeface.pipeline.model_file import Description, describe, load_model
from edgeface_tools.people.faces import Crops

Embeddings = NDArray[np.float32]
"""Shape (n, size), each row of unit length."""

Lengths = NDArray[np.float64]
"""Shape (n,)."""

_PIXELS = 32  # per side: only the coarse shading of a face remains


def embed(
    network: bytes,
    description: Description,
    crops: Crops,
    progress: Callable[[], None] = lambda: None,
) -> Embeddings:
    """The runtime's embedding of each crop with this network and description."""
    return embed_and_measure(network, description, crops, progress)[0]


def embed_and_measure(
    network: bytes,
    description: Description,
    crops: Crops,
    progress: Callable[[], None] = lambda: None,
) -> tuple[Embeddings, Lengths]:
    """As `embed`, with the length of the network's output before it became 1."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.tflite"
        path.write_bytes(describe(network, description))
        encoder = Encoder(load_model(path))
        rows, lengths = [], []
        for crop in crops:
            row, length = encoder.measure(crop)
            rows.append(row)
            lengths.append(length)
            progress()
    nothing = np.empty((0, description.embedding.size), np.float32)
    return np.stack(rows) if rows else nothing, np.array(lengths)


def pixels(crops: Iterable[NDArray[np.uint8]]) -> Embeddings:
    """The baseline without a network: the standardized grey pixels of each crop as one row.

    Their cosine falls as the squared distance between the pixels grows.
    """
    rows = []
    for crop in crops:
        grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
        small = cv2.resize(grey, (_PIXELS, _PIXELS), interpolation=cv2.INTER_AREA)
        row = small.astype(np.float32).ravel()
        row -= row.mean()
        rows.append(row / max(float(np.linalg.norm(row)), 1e-6))
    return np.stack(rows) if rows else np.empty((0, _PIXELS * _PIXELS), np.float32)
