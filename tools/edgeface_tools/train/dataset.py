"""Labelled pictures for training: a folder with one folder of pictures per person.

Takes in such a folder (`NAME/*.jpg`), hands on aligned crops and whose they are, cut by the
runtime's own stations so that training sees what the device will see. Crops are cached, so each
picture is searched for a face only once. People with too few pictures for a triplet are refused by
name.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import ConfigError
from edgeface.pipeline.model_file import AlignmentSpec
from edgeface_tools.people.faces import Crops, cut_faces, pictures_in
from edgeface_tools.train.arrays import load_arrays, save_arrays

FEWEST_PEOPLE = FEWEST_PICTURES = 2
"""A triplet needs two pictures of one person and one of another."""

FEW_HELD_OUT = 20
"""With fewer people, validation means little: it depends on a few hundred pairs."""

Bar = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""Shows progress: takes a label and the number of steps; yields a function to call after each."""

_NAMED = 5  # people named in a message; the rest are counted


@dataclass(frozen=True, eq=False)
class FaceDataset:
    """Aligned crops, and for each the number of its person in `names` and its picture's path."""

    names: tuple[str, ...]
    person: NDArray[np.int32]
    crops: Crops
    pictures: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    """Pictures that gave no crop, and why."""

    def of(self, chosen: Sequence[int]) -> FaceDataset:
        """Some of the people (by number), with numbers of their own."""
        rows = np.flatnonzero(np.isin(self.person, chosen))
        number = {old: new for new, old in enumerate(chosen)}
        return FaceDataset(
            tuple(self.names[old] for old in chosen),
            np.array([number[int(self.person[row])] for row in rows], np.int32),
            self.crops[rows],
            tuple(self.pictures[row] for row in rows),
            (),
        )


def read_people(
    folder: Path,
    alignment: AlignmentSpec,
    size: int,
    cache: Path,
    bar: Bar,
) -> FaceDataset:
    """Cut the face out of every picture of every person, or take it from `cache`.

    Raises ConfigError for too few people, and for people with too few pictures, by name.
    """
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; give one with a folder for each person")
    pictures = [path for path in pictures_in(folder) if path.parent != folder]
    check_counts(Counter(path.relative_to(folder).parts[0] for path in pictures), "pictures")
    key = _fingerprint(folder, pictures, alignment, size)
    kept = load_arrays(cache, key)
    if kept is None:
        with bar("cutting faces", len(pictures)) as step:
            faces = cut_faces(pictures, alignment, size, step)
        used = {path: place for place, path in enumerate(faces.used)}
        found = np.array([used.get(path, -1) for path in pictures], np.int64)
        kept = {"found": found, "crops": faces.crops}
        save_arrays(cache, key, kept)
        skipped = tuple((str(path.relative_to(folder)), why) for path, why in faces.skipped)
    else:
        skipped = tuple(
            (str(path.relative_to(folder)), "no face found, or no picture")
            for path, place in zip(pictures, kept["found"], strict=True)
            if place < 0
        )
    used_pictures = [
        path.relative_to(folder)
        for path, place in zip(pictures, kept["found"], strict=True)
        if place >= 0
    ]
    owners = [path.parts[0] for path in used_pictures]
    counts = Counter({path.relative_to(folder).parts[0]: 0 for path in pictures})
    counts.update(owners)
    check_counts(counts, "pictures with a face")
    names = tuple(sorted(counts))
    number = {name: place for place, name in enumerate(names)}
    person = np.array([number[owner] for owner in owners], np.int32)
    return FaceDataset(names, person, kept["crops"], tuple(map(str, used_pictures)), skipped)


def check_counts(counts: Counter[str], what: str) -> None:
    """ConfigError unless there are two people, each with two pictures."""
    few = [name for name, count in sorted(counts.items()) if count < FEWEST_PICTURES]
    if few:
        named = ", ".join(few[:_NAMED]) + (f" and {len(few) - _NAMED} more" * (len(few) > _NAMED))
        raise ConfigError(
            f"each person needs {FEWEST_PICTURES} {what} or more, which these do not have: "
            f"{named}; add some, or remove the folders"
        )
    if len(counts) < FEWEST_PEOPLE:
        alone = f"only {next(iter(counts))}" if counts else "nobody"
        raise ConfigError(
            f"a triplet needs two people, but there is {alone} in the folder; give folders of "
            f"{FEWEST_PEOPLE} people or more"
        )


def split(people: FaceDataset, share: float, seed: int) -> tuple[FaceDataset, FaceDataset | None]:
    """The training set and the validation set; None when there are too few people for that.

    Each has at least two people, so of fewer than four nobody is held out.
    """
    count = len(people.names)
    if count < 2 * FEWEST_PEOPLE or share == 0:
        return people, None
    held = min(max(FEWEST_PEOPLE, round(share * count)), count - FEWEST_PEOPLE)
    order = np.random.default_rng([seed, 1]).permutation(count)
    return people.of(sorted(order[held:])), people.of(sorted(order[:held]))


def _fingerprint(folder: Path, pictures: list[Path], alignment: AlignmentSpec, size: int) -> str:
    """Changes when a picture, or the way it is cropped, changes."""
    digest = hashlib.sha256(repr((alignment, size)).encode())
    for path in pictures:
        about = path.stat()
        entry = (str(path.relative_to(folder)), about.st_size, about.st_mtime_ns)
        digest.update(repr(entry).encode())
    return digest.hexdigest()
