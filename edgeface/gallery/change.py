"""Change: people and templates added to a gallery's file or removed from it, all or nothing.

Takes in embeddings and names, hands on the gallery as it will be and, at the end, the changed file.
One process at a time changes a file. It decides nothing about who may be added.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import GalleryError
from edgeface.gallery.contents import Contents, with_people, with_templates, without_person
from edgeface.gallery.duplicates import distinct
from edgeface.gallery.gallery import Gallery, file_signature
from edgeface.gallery.names import PersonName, person_name, refuse_reserved
from edgeface.gallery.rules import Rules, both
from edgeface.gallery.rules_file import AllRules, held_rules, write_rules
from edgeface.gallery.store import Loaded, commit, exclusively, load_for_change
from edgeface.pipeline.model_file import Model
from edgeface.system.storage import Folder

if TYPE_CHECKING:
    from edgeface.pipeline.encode import Embedding


_UNIT = 1e-2  # how far from 1 a template's length may be; it is rounded to int8 anyway
_DAY = 86400  # seconds
_CLOCK_IS_SET = 19_000  # days since 1970: before 2022 no clock that was ever set says so


class GalleryChange:
    """A change of a gallery's file that is being prepared; `open` makes one.

    `gallery` is the gallery as the change leaves it, and, once the `with` block has ended, as it
    is on the disk.
    """

    def __init__(self, gallery: Gallery, model: Model) -> None:
        self.gallery = gallery
        self._model = model
        self._removed = False
        self._moves: list[tuple[PersonName, PersonName | None]] = []  # and to whom, if anyone

    @classmethod
    @contextmanager
    def open(
        cls, path: Path, model: Model, key: bytes | None = None, *, above: int = 0
    ) -> Iterator[GalleryChange]:
        """Change the gallery in a file; no other process can until the block ends.

        When the block ends without an error the change is on the disk for good, with a generation
        higher than `above`; with an error, nothing was changed. Raises GalleryError as
        `Gallery.open` does, when another process keeps the gallery for ten seconds (naming it), and
        when the disk does not take the change.
        """
        with exclusively(path) as folder:
            change = cls(Gallery(path, model, load_for_change(folder, path, key)), model)
            before = change.gallery.contents
            yield change
            if change.gallery.contents is not before:
                after = replace(
                    change.gallery.contents, generation=max(before.generation, above) + 1
                )
                rules = change._prepare_rules(folder)
                commit(folder, path, after, key, forget=change._removed)
                change._use(after, file_signature(path))
                if rules is not None:
                    write_rules(folder, path, rules)

    def add(self, name: str, embeddings: Sequence[Embedding]) -> None:
        """Add templates (float32, unit length, shape (n,)) to a person, who is new or known.

        Raises GalleryError for a name that cannot be one.
        """
        self.add_people({name: np.stack(embeddings)})

    def add_people(
        self,
        people: Mapping[str, NDArray[np.float32]],
        days: Mapping[str, NDArray[np.int32]] | None = None,
    ) -> None:
        """Add the templates (unit rows, shape (m, n), m >= 1) of people who are new or known.

        `days` says when each was added (days since 1970, shape (m,)); today, where it is missing.
        Raises GalleryError for a name that cannot be one, and for what is no template.
        """
        if days is None:
            days = {name: np.full(len(rows), today(), np.int32) for name, rows in people.items()}
        encoded = {person_name(name).encode(): rows for name, rows in people.items()}
        if len(encoded) != len(people):
            raise GalleryError(
                "nobody was added: two of the names are one; give each person theirs"
            )
        for name in people:
            if (new := person_name(name)) not in self.gallery:
                refuse_reserved(new)
        for rows in encoded.values():
            if not np.allclose(np.linalg.norm(rows, axis=1), 1, atol=_UNIT):
                raise GalleryError(
                    "nobody was added: a template is not of unit length; take it from encode"
                )
        when = {person_name(name).encode(): some for name, some in days.items()}
        self._use(with_people(self.gallery.contents, encoded, when))

    def remove(self, name: PersonName) -> int:
        """Remove a person; returns how many templates went. Raises UnknownPerson."""
        templates = self._drop(name)
        self._moves.append((name, None))
        return templates

    def _drop(self, name: PersonName) -> int:
        person = self.gallery.index(name)
        templates = int(self.gallery.template_counts[person])
        self._use(without_person(self.gallery.contents, person))
        self._removed = True
        return templates

    def remove_template(self, name: PersonName, number: int) -> None:
        """Remove one template of a person, by its number from 1.

        Raises UnknownPerson, and GalleryError where there is no such template, or no other.
        """
        person = self.gallery.index(name)
        rows = self.gallery.contents.rows_of(person)
        count = rows.stop - rows.start
        if not 1 <= number <= count:
            raise GalleryError(
                f"{name} has no template {number}: there {_are(count)}; see: edgeface list {name!r}"
            )
        if count == 1:
            raise GalleryError(
                f"{name} has this template alone; to remove the person: edgeface remove {name!r}"
            )
        keep = np.ones(len(self.gallery.contents.scales), np.bool_)
        keep[rows.start + number - 1] = False
        self.keep_templates(keep)

    def rename(self, name: PersonName, new: PersonName) -> None:
        """Give a person another name. Raises UnknownPerson, and GalleryError where somebody has
        it."""
        self.gallery.require(name)
        if new == name:
            raise GalleryError(f"{name} has this name already; give another one")
        if new in self.gallery:
            raise GalleryError(
                f"{name} was not renamed: there is a {new} already; if they are one person, run: "
                f"edgeface merge {name!r} {new!r}"
            )
        self._move(name, new)

    def merge(self, name: PersonName, other: PersonName) -> int:
        """Add a person's templates to those of another and remove the first; returns how many the
        second has then. A picture that both have counts once.

        Raises UnknownPerson, and GalleryError where both are one already.
        """
        self.gallery.require(name)
        self.gallery.require(other)
        if name == other:
            raise GalleryError(f"{name} cannot be merged with themselves; give two names")
        self._move(name, other)
        return int(self.gallery.template_counts[self.gallery.index(other)])

    def _move(self, name: PersonName, other: PersonName) -> None:
        """Move a person's templates to another name; neither a picture nor its day is lost."""
        old = self.gallery.contents
        rows = old.rows_of(self.gallery.index(name))
        moved, days = old.unit_templates(rows), old.days_of(rows)
        self._drop(name)
        self._moves.append((name, other))
        known = self.gallery.templates(other) if other in self.gallery else None
        needed = distinct(moved, known) if known is not None else np.ones(len(moved), np.bool_)
        if needed.any():
            self.add_people({other: moved[needed]}, {other: days[needed]})

    def _prepare_rules(self, folder: Folder) -> AllRules | None:
        """The rules as they are to be after the gallery's change, None where they stay.

        Whoever gets another's rules has them before the change: a power cut in between leaves
        somebody limited who is not there, and nobody without limits. Raises GalleryError where the
        rules of somebody who is moved cannot be known; who is removed is removed nevertheless.
        """
        if not self._moves:
            return None
        path = self.gallery.path
        try:
            before = held_rules(folder, path)
        except GalleryError:
            if any(other is not None for _, other in self._moves):
                raise
            return None
        rules = dict(before)
        for name, other in self._moves:
            if other is not None and name in rules:
                rules[other] = both(rules[name], rules.get(other, Rules()))
        if rules != before:
            write_rules(folder, path, rules)
        kept = {name: rule for name, rule in rules.items() if name in self.gallery}
        return kept if kept != rules else None

    def keep_templates(self, keep: NDArray[np.bool_]) -> None:
        """Drop the templates where `keep` (shape (templates,)) is False; one of each person must
        stay."""
        self._use(with_templates(self.gallery.contents, keep))
        self._removed = True

    def _use(self, contents: Contents, signature: tuple[int, ...] | None = None) -> None:
        loaded = Loaded(contents, self.gallery.restored)
        self.gallery = Gallery(self.gallery.path, self._model, loaded, signature)


def remove_person(
    path: Path, model: Model, key: bytes | None, name: PersonName, template: int | None = None
) -> tuple[int, Gallery]:
    """Remove a person, or one template of theirs (from 1), from a gallery's file for good; how many
    templates went, and who is left.

    Raises UnknownPerson, before a lock or a folder is made, and GalleryError as `open` does.
    """
    Gallery.open(path, model, key).require(name)
    with GalleryChange.open(path, model, key) as change:
        if template is None:
            removed = change.remove(name)
        else:
            change.remove_template(name, template)
            removed = 1
    return removed, change.gallery


def rename_person(
    path: Path, model: Model, key: bytes | None, name: PersonName, new: PersonName
) -> Gallery:
    """Give a person of a gallery's file another name; returns the gallery as it is then.

    Raises UnknownPerson and GalleryError as `remove_person` does, and where somebody has the name.
    """
    Gallery.open(path, model, key).require(name)
    with GalleryChange.open(path, model, key) as change:
        change.rename(name, new)
    return change.gallery


def today() -> int:
    """The day, in days since 1970 (UTC); 0 where the clock has surely not been set."""
    day = int(time.time() // _DAY)
    return day if day >= _CLOCK_IS_SET else 0


def _are(count: int) -> str:
    return "is one" if count == 1 else f"are {count}"
