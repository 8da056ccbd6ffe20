"""Draws the rows of each batch: K pictures each of P people, from a seed.

Takes in the person and picture of each row, hands on row numbers. The batches of an epoch depend
only on the seed and the epoch's number, so a run that was stopped in the middle of one continues
with the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pool:
    """The rows to draw from: row r is of the picture `picture[r]`, which shows `person[r]`."""

    person: NDArray[np.int32]
    picture: NDArray[np.int32]


def steps_per_epoch(pool: Pool, people: int, pictures: int) -> int:
    """The number of batches that together have as many rows as there are."""
    people = min(people, len(np.unique(pool.person)))
    return max(1, round(len(pool.person) / (people * pictures)))


def batches(
    pool: Pool, people: int, pictures: int, seed: int, epoch: int, skip: int = 0
) -> Iterator[Rows]:
    """The epoch's batches after the first `skip`, each `people` x `pictures` rows or fewer.

    Everybody is drawn once before anybody is drawn again. A person's rows are of different pictures
    while there are any, each by a random one of its rows, then other rows of the same pictures. A
    person with fewer rows than `pictures` gives all of them.
    """
    random = np.random.default_rng([seed, 3, epoch])
    owners = np.unique(pool.person)
    rows_of = {int(owner): np.flatnonzero(pool.person == owner) for owner in owners}
    queue: list[int] = []
    for number in range(steps_per_epoch(pool, people, pictures)):
        chosen: list[int] = []
        while len(chosen) < min(people, len(owners)):
            if not queue:
                queue = [int(owner) for owner in random.permutation(owners)]
            # Where two rounds meet, a person may come up who is in this batch already.
            place = next((i for i, owner in enumerate(queue) if owner not in chosen), None)
            if place is None:
                queue += [int(owner) for owner in random.permutation(owners)]
            else:
                chosen.append(queue.pop(place))
        rows = [_rows_of_one(rows_of[o], pool.picture, pictures, random) for o in chosen]
        if number >= skip:
            yield np.concatenate(rows)


def _rows_of_one(
    rows: Rows, picture: NDArray[np.int32], wanted: int, random: np.random.Generator
) -> Rows:
    """`wanted` rows of one person, of as many different pictures as there are."""
    shuffled = random.permutation(rows)
    turn = np.zeros(len(shuffled), np.int64)  # how many rows of its picture come before a row
    seen: dict[int, int] = {}
    for place, row in enumerate(shuffled):
        turn[place] = seen.get(int(picture[row]), 0)
        seen[int(picture[row])] = int(turn[place]) + 1
    return shuffled[np.argsort(turn, kind="stable")][:wanted]
