"""Search: compares a probe with many int8 templates in one pass.

Takes in templates (int8 rows with a scale each) and a probe, hands on one cosine a template. The
probe is brought to int8 too, so that the product is a whole number and every machine gives the
same scores, whichever kernel it has: simsimd's (NEON dot product, AVX-512 VNNI), or NumPy on
blocks converted to float32. It knows no people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgeface.pipeline.encode import Embedding

try:
    import simsimd
except ImportError:  # a platform without its wheel
    simsimd = None  # type: ignore[assignment]

Templates = NDArray[np.int8]
"""Shape (templates, n): unit vectors in whole numbers, value = int8 * the template's scale."""

LARGEST_EMBEDDING = 1024  # numbers; 1024 * 127 * 127 is still exact in float32
_BLOCK = 512 if simsimd is None else 4096  # templates at once: 256 or 512 KiB stay in the cache


def quantize(embeddings: NDArray[np.float32]) -> tuple[Templates, NDArray[np.float32]]:
    """Rows of unit length (shape (m, n)) as int8 and the scale (m,) of each.

    The scale gives the rounded row unit length again, so that a score stays a cosine.
    """
    largest = np.abs(embeddings).max(axis=1, keepdims=True)
    rows = np.rint(embeddings * (127 / largest)).astype(np.int8)
    scales = 1 / np.linalg.norm(rows.astype(np.float32), axis=1)
    return rows, scales.astype(np.float32)


class Searcher:
    """The templates of a gallery and the buffers for their scores. One thread at a time."""

    def __init__(self, templates: Templates, scales: NDArray[np.float32]) -> None:
        self._templates, self._scales = templates, scales
        self._found = np.empty((len(templates), 1), np.float32)
        if simsimd is None:
            self._block = np.empty((_BLOCK, templates.shape[1]), np.float32)

    def scores(self, probe: Embedding) -> NDArray[np.float32]:
        """The cosine of `probe` (unit length, shape (n,)) with every template, shape (m,).

        Valid until the next call.
        """
        row, scale = quantize(probe[np.newaxis])
        if len(self._templates):
            self._multiply(row)
        found = self._found[:, 0]
        np.multiply(found, self._scales, out=found)
        np.multiply(found, scale[0], out=found)
        return found

    def _multiply(self, row: Templates) -> None:
        column = row[0].astype(np.float32)
        for start in range(0, len(self._templates), _BLOCK):
            part = self._templates[start : start + _BLOCK]
            products = self._found[start : start + _BLOCK]
            if simsimd is not None:
                # Not its `out=`: that drops a reference to None, and in the end ends the process.
                products[:] = simsimd.cdist(part, row, metric="dot", out_dtype="float32")
            else:
                block = self._block[: len(part)]
                np.copyto(block, part)
                np.dot(block, column, out=products[:, 0])
