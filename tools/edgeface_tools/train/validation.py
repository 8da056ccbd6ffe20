"""Validation: how well encodings distinguish people, as one number per epoch.

Takes in encodings and whose they are, hands on the share of genuine pairs that pass at a false
accept rate (TAR@FAR). Every pair of rows counts except those of one picture: a face always
resembles its own copy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeface.errors import ConfigError
from edgeface_tools.train.batches import Pool
from edgeface_tools.train.head import Encodings

FAR = 1e-3
_FEWEST_ABOVE = 10  # impostor pairs above the threshold, so that it does not depend on one of them
_MOST_ROWS = 4096


@dataclass(frozen=True)
class Separation:
    """tar: share of genuine pairs above the score that a share `far` of impostor pairs exceeds."""

    tar: float
    far: float
    genuine: int
    impostor: int


def separation(encodings: Encodings, pool: Pool, what: str) -> Separation:
    """TAR at a FAR of 1e-3, or at the lowest that ten impostor pairs can show.

    Of more than 4,096 rows, evenly spaced ones are used. ConfigError, naming `what`, when there
    are no genuine or no impostor pairs.
    """
    every = -(-len(encodings) // _MOST_ROWS)
    rows = encodings[::every]
    person, picture = pool.person[::every], pool.picture[::every]
    first, second = np.triu_indices(len(rows), 1)
    scores = (rows @ rows.T)[first, second]
    same = person[first] == person[second]
    genuine = scores[same & (picture[first] != picture[second])]
    impostor = np.sort(scores[~same])
    if not len(genuine) or not len(impostor):
        raise ConfigError(f"{what} gives no genuine or no impostor pairs; add pictures")
    far = min(0.5, max(FAR, _FEWEST_ABOVE / len(impostor)))
    limit = impostor[len(impostor) - 1 - int(far * len(impostor))]
    return Separation(float((genuine > limit).mean()), far, len(genuine), len(impostor))
