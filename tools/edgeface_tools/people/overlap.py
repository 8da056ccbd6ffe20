"""Which labelled people are also among the calibration faces, so that figures on them flatter.

Takes in the calibration faces and labelled ones, hands on the people found in both: by the same
picture, whatever its name, or by their faces. It measures no network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from edgeface.decide import threshold_for_far
from edgeface.pipeline.model_file import load_model
from edgeface_tools.people.faces import Faces, cut_faces
from edgeface_tools.people.labelled import Labelled

_FAR = 1e-6  # many faces are compared with many
_PICTURES = 2  # of a person whose pictures are all new


def people_in_both(
    faces: Faces, people: Labelled, progress: Callable[[], None] = lambda: None
) -> frozenset[str]:
    """The names of the people; `progress` after each of them.

    By their faces as the shipped model compares them, on the first two pictures of each.
    """
    pictures: dict[str, list[Path]] = {}
    for person, picture in zip(people.people, people.pictures, strict=True):
        pictures.setdefault(person, []).append(people.folder / picture)
    known = {_digest(path) for path in faces.used}
    model = load_model()
    about, same = model.description, threshold_for_far(model, _FAR)
    found = set()
    for person, paths in pictures.items():
        if not known.isdisjoint(map(_digest, paths)):
            found.add(person)
        else:
            few = cut_faces(paths[:_PICTURES], about.alignment, about.input.size)
            if (few.shipped @ faces.shipped.T).max(initial=-1) >= same:
                found.add(person)
        progress()
    return frozenset(found)


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
