"""Duplicates: which of a person's templates come of one picture.

Takes in templates, hands on which of them add anything. It knows no names and changes nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAME_PICTURE = 0.995  # cosine of two templates above which the second adds nothing


def distinct(
    rows: NDArray[np.float32], known: NDArray[np.float32] | None = None
) -> NDArray[np.bool_]:
    """Which of the templates `rows` (unit length, shape (m, n)) are neither among `known` (shape
    (k, n)) nor among the rows before them, shape (m,)."""
    kept = np.empty((0, rows.shape[1]), np.float32) if known is None else known
    needed = np.ones(len(rows), np.bool_)
    for number, row in enumerate(rows):
        needed[number] = not len(kept) or float((kept @ row).max()) < SAME_PICTURE
        if needed[number]:
            kept = np.concatenate((kept, row[np.newaxis]))
    return needed
