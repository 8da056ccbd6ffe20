"""Change: people and templates added to a gallery's file or removed from it, all or nothing.

Takes in embeddings and names, hands on the gallery as it will be and, at the end, the changed file.
One process at a time changes a file. It decides nothing about who may be added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import GalleryError
from edgeface.gallery.contents import Contents, with_people, with_templates, without_person
from edgeface.gallery.gallery import Gallery, file_signature
from edgeface.gallery.names import PersonName, person_name
from edgeface.gallery.store import Loaded, commit, exclusively, load_for_change
from edgeface.pipeline.model_file import Model

if TYPE_CHECKING:
    from edgeface.pipeline.encode import Embedding


_UNIT = 1e-2  # how far from 1 a template's length may be; it is rounded to int8 anyway


class GalleryChange:
    """A change of a gallery's file that is being prepared; `open` makes one.

    `gallery` is the gallery as the change leaves it, and, once the `with` block has ended, as it
    is on the disk.
    """

    def __init__(self, gallery: Gallery, model: Model) -> None:
        self.gallery = gallery
        self._model = model
        self._removed = False

    @classmethod
    @contextmanager
    def open(cls, path: Path, model: Model, key: bytes | None = None) -> Iterator[GalleryChange]:
        """Change the gallery in a file; no other process can until the block ends.

        When the block ends without an error the change is on the disk for good; with one, nothing
        was changed. Raises GalleryError as `Gallery.open` does, when another process keeps the
        gallery for ten seconds (naming it), and when the disk does not take the change.
        """
        with exclusively(path) as folder:
            change = cls(Gallery(path, model, load_for_change(folder, path, key)), model)
            before = change.gallery.contents
            yield change
            if change.gallery.contents is not before:
                after = replace(change.gallery.contents, generation=before.generation + 1)
                commit(folder, path, after, key, forget=change._removed)
                change._use(after, file_signature(path))

    def add(self, name: str, embeddings: Sequence[Embedding]) -> None:
        """Add templates (float32, unit length, shape (n,)) to a person, who is new or known.

        Raises GalleryError for a name that cannot be one.
        """
        self.add_people({name: np.stack(embeddings)})

    def add_people(self, people: Mapping[str, NDArray[np.float32]]) -> None:
        """Add the templates (unit rows, shape (m, n), m >= 1) of people who are new or known.

        Raises GalleryError for a name that cannot be one, and for what is no template.
        """
        encoded = {person_name(name).encode(): rows for name, rows in people.items()}
        if len(encoded) != len(people):
            raise GalleryError(
                "nobody was added: two of the names are one; give each person theirs"
            )
        for rows in encoded.values():
            if not np.allclose(np.linalg.norm(rows, axis=1), 1, atol=_UNIT):
                raise GalleryError(
                    "nobody was added: a template is not of unit length; take it from encode"
                )
        self._use(with_people(self.gallery.contents, encoded))

    def remove(self, name: PersonName) -> int:
        """Remove a person; returns how many templates went. Raises UnknownPerson."""
        person = self.gallery.index(name)
        templates = int(self.gallery.template_counts[person])
        self._use(without_person(self.gallery.contents, person))
        self._removed = True
        return templates

    def keep_templates(self, keep: NDArray[np.bool_]) -> None:
        """Drop the templates where `keep` (shape (templates,)) is False; one of each person must
        stay."""
        self._use(with_templates(self.gallery.contents, keep))
        self._removed = True

    def _use(self, contents: Contents, signature: tuple[int, ...] | None = None) -> None:
        loaded = Loaded(contents, self.gallery.restored)
        self.gallery = Gallery(self.gallery.path, self._model, loaded, signature)


def remove_person(
    path: Path, model: Model, key: bytes | None, name: PersonName
) -> tuple[int, Gallery]:
    """Remove a person from a gallery's file for good; how many templates went, and who is left.

    Raises UnknownPerson, before a lock or a folder is made, and GalleryError as `open` does.
    """
    Gallery.open(path, model, key).require(name)
    with GalleryChange.open(path, model, key) as change:
        removed = change.remove(name)
    return removed, change.gallery
