"""Labelled faces: a folder of people, or the pictures that a pairs file names.

Takes in a folder and perhaps a list of pairs, hands on aligned crops with the person of each. Any
two of them are a genuine or an impostor pair. It finds faces as the runtime does and scores
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeface.bench.evaluate import Pair, read_pairs
from edgeface.errors import ConfigError, FaceError
from edgeface.pipeline.align import Aligner
from edgeface.pipeline.model_file import AlignmentSpec
from edgeface.pipeline.pictures import read_picture
from edgeface.pipeline.pipeline import FacePipeline
from edgeface_tools.people.faces import Crops, pictures_in


@dataclass(frozen=True)
class Wanted:
    """The pictures to read, by path below `folder`; the first part of a path is the person."""

    folder: Path
    pictures: tuple[Path, ...]
    pairs: tuple[Pair, ...]
    """Those of the pairs file, where one was given."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """The main face of each picture that has one."""

    crops: Crops
    people: tuple[str, ...]
    pictures: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...]
    pairs: tuple[Pair, ...] = ()
    folder: Path = Path()
    """Where `pictures` are."""


def wanted(labelled: Path | None, pairs: Path | None) -> Wanted:
    """The pictures to read: a whole folder of PERSON/PICTURE, or those that a pairs file names.

    Without a folder, those of a pairs file are searched for beside it and in `images` beside it.
    """
    if pairs is None:
        if labelled is None:
            raise ConfigError("give --labelled FOLDER or --pairs FILE")
        if not labelled.is_dir():
            raise ConfigError(f"there is no folder {labelled}; check --labelled")
        found = [path.relative_to(labelled) for path in pictures_in(labelled)]
        if not any(len(path.parts) > 1 for path in found):
            raise ConfigError(
                f"{labelled} holds pictures but no folders of people; sort it as PERSON/PICTURE"
            )
        return Wanted(labelled, tuple(path for path in found if len(path.parts) > 1), ())
    listed = read_pairs(pairs)
    pictures = sorted({picture for pair in listed for picture in (pair.first, pair.second)})
    for folder in [labelled] if labelled else [pairs.parent, pairs.parent / "images"]:
        if (folder / pictures[0]).is_file():
            return Wanted(folder, tuple(pictures), tuple(listed))
    raise ConfigError(
        f"{pairs} names {pictures[0]}, which is not in {labelled or pairs.parent}; give the folder "
        "of the pictures with --labelled"
    )


def cut_labelled(
    source: Wanted,
    alignment: AlignmentSpec,
    size: int,
    progress: Callable[[], None] = lambda: None,
) -> Labelled:
    """Find and align the main face of each picture; PictureError for a file that is not one.

    ConfigError when no genuine or no impostor pair is left.
    """
    pipeline, aligner = FacePipeline(), Aligner(alignment, size)
    crops, used, skipped = [], [], []
    for picture in source.pictures:
        frame = read_picture(source.folder / picture)
        try:
            crops.append(aligner.align(frame, pipeline.main_face(frame)).copy())
            used.append(picture)
        except FaceError:
            skipped.append((picture, "no face found"))
        progress()
    people = tuple(picture.parts[0] for picture in used)
    if len(set(people)) < 2 or len(people) == len(set(people)):
        raise ConfigError(
            f"{source.folder} gives no pairs to measure: it needs folders of at least two people, "
            "one of them with two pictures that show a face"
        )
    return Labelled(
        np.stack(crops), people, tuple(used), tuple(skipped), source.pairs, source.folder
    )


def by_folder(crops: Crops, pictures: tuple[Path, ...]) -> Labelled | None:
    """Faces whose pictures lie in one folder per person; None where they do not seem to."""
    people = tuple(picture.parent.name for picture in pictures)
    if len(set(people)) < 2 or len(people) < 2 * len(set(people)):
        return None
    return Labelled(crops, people, pictures, ())
