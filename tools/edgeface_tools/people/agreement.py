"""Whether a converted network says of the same pixels what its source says.

Takes in the embeddings of the same faces by both, hands on an `Agreement`, or ModelError where they
differ. The source's own framework is the judge, not our reading of the file: a network that is read
wrongly, or given its pixels in the wrong range, gives numbers all the same.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeface.errors import ModelError

LEAST_READ = 0.999
"""Median cosine with the source before anything is rounded: only the order of sums may differ."""
LEAST_WRITTEN = 0.98
"""Median cosine with the source at the precision that is written."""
_SPREAD = 1e-3


class Agreement(msgspec.Struct, frozen=True):
    """Cosine of the source's and the converted network's embeddings, face by face."""

    framework: str | None
    """The framework that ran the source; None where it was not compared."""
    why_not: str
    faces: int
    median: float
    least: float


def not_compared(why: str) -> Agreement:
    """A source that its framework could not run."""
    return Agreement(None, why, 0, 0.0, 0.0)


def agreement(
    framework: str,
    wanted: NDArray[np.float32],
    read: NDArray[np.float32],
    found: NDArray[np.float32],
) -> Agreement:
    """Compare rows of the source (`wanted`), of its float reading and of the converted network.

    All of shape (faces, numbers). ModelError, saying which step is to blame, where they disagree.
    """
    if not np.isfinite(wanted).all() or not np.linalg.norm(wanted, axis=1).all():
        raise ModelError(
            f"{framework} itself gives numbers that are not finite or all zero for faces; check "
            "the source, and --normalization; nothing written"
        )
    if wanted.shape != read.shape:
        raise ModelError(
            f"{framework} gives {wanted.shape[1]} numbers, the conversion {read.shape[1]}; "
            "nothing written"
        )
    exact = _cosines(wanted, read)
    if not np.median(exact) >= LEAST_READ or not np.median(_apart(wanted, read)) >= LEAST_WRITTEN:
        raise ModelError(
            f"the converted network disagrees with {framework} on the same pixels before anything "
            f"is rounded: median cosine {np.median(exact):.4f} over {len(exact)} faces; nothing "
            "written: save the network with model.export('folder') and convert that folder"
        )
    cosines = _cosines(wanted, found)
    median = float(np.median(cosines))
    if not median >= LEAST_WRITTEN:
        raise ModelError(
            f"at this precision the converted network disagrees with {framework} on the same "
            f"pixels: median cosine {median:.4f} over {len(cosines)} faces, {LEAST_WRITTEN} is the "
            "least; nothing written: use --precision int16x8 or float16, or calibrate on more faces"
        )
    return Agreement(framework, "", len(cosines), round(median, 5), round(float(cosines.min()), 5))


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosines after the mean direction is taken out of both, where there is anything left.

    All embeddings of a network that was hardly trained point the same way: their cosine is near 1
    even when the pixels were in the wrong range.
    """
    rows = [_unit(part) for part in (one, other)]
    centred = [part - part.mean(axis=0) for part in rows]
    if len(one) < 2 or float(np.abs(centred[0]).max()) < _SPREAD:
        return np.ones(len(one))
    return _cosines(*centred)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = rows.astype(np.float64)
    lengths: NDArray[np.float64] = np.linalg.norm(exact, axis=1, keepdims=True)
    return exact / np.maximum(lengths, 1e-30)


def _cosines(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.einsum("ij,ij->i", _unit(one), _unit(other))
    return found
