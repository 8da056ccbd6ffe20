"""Gallery: the enrolled people and their templates, and how well a probe matches each.

Takes in embeddings, hands on `Match`es (name, score). A person's score is the mean of two cosines:
with the nearest template, and with the centre of all templates; of the ways to join several
templates this one missed fewest people at the same false alarms (docs/identification.md). It knows
no pictures and sets no threshold. A gallery belongs to the model that made its embeddings, since
another model's numbers mean something else.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import GalleryError, UnknownPerson
from edgeface.gallery.contents import (
    Contents,
    empty_contents,
    sums,
    with_people,
)
from edgeface.gallery.file import is_sealed_file
from edgeface.gallery.names import PersonName
from edgeface.gallery.resemblance import Resemblance, resemblance
from edgeface.gallery.search import Searcher
from edgeface.gallery.store import Loaded, load
from edgeface.pipeline.model_file import Model, shipped_with
from edgeface.system.homes import expanded, own_folder

if TYPE_CHECKING:
    from edgeface.pipeline.encode import Embedding


@dataclass(frozen=True)
class Match:
    """A person, the score of a probe with them (a cosine), and how many templates they have."""

    name: PersonName
    score: float
    templates: int


def default_gallery_path() -> Path:
    """EDGEFACE_GALLERY if set, else in the XDG data folder of this user; GalleryError where there
    is none."""
    chosen = os.environ.get("EDGEFACE_GALLERY")
    if chosen:
        return expanded(chosen)
    data = own_folder("data")
    if data is None:
        raise GalleryError(
            f"the user number {os.geteuid()} has no home folder for a gallery; name one with "
            "--gallery FILE or EDGEFACE_GALLERY, or set HOME"
        )
    return data / "edgeface" / "gallery.safetensors"


class Gallery:
    """The templates of all enrolled people, to read; a `GalleryChange` changes their file.

    One thread at a time. `contents` is what the file holds. `restored` is the sentence to show when
    the file was damaged and its last generation took its place, else None.
    """

    def __init__(
        self, path: Path, model: Model, loaded: Loaded, seen: tuple[int, ...] | None = None
    ) -> None:
        contents = loaded.contents
        if contents is None:
            contents = empty_contents(model.identity, model.description.embedding.size)
        if contents.model_identity != model.identity:
            raise GalleryError(_made_with_another(path, contents.model_identity, model))
        self.path = path
        self.restored = loaded.restored
        self.contents = contents
        self._seen = seen
        self._searcher = Searcher(contents.templates, contents.scales)
        self._person_scores = np.empty((2, len(contents.counts)), np.float32)

    @classmethod
    def open(cls, path: Path, model: Model, key: bytes | None = None) -> Gallery:
        """The gallery in a file; an empty one if there is no file yet.

        A damaged file is restored from its last generation (see `restored`). Raises GalleryError
        where that cannot be done, for a file made with another model and for a wrong key.
        """
        seen = file_signature(
            path
        )  # before the bytes are read: a change in between is then noticed
        return cls(path, model, load(path, key), seen)

    @property
    def outdated(self) -> bool:
        """Whether the file was changed since it was opened; open it again then."""
        return self._seen != file_signature(self.path)

    @property
    def generation(self) -> int:
        """How many changes made this gallery."""
        return self.contents.generation

    def follows(self, other: Gallery) -> bool:
        """Whether this is a later state than `other`, or the same: not one that came back."""
        if self.generation == other.generation:
            return self.contents.sha256 == other.contents.sha256
        return self.generation > other.generation

    @property
    def encrypted(self) -> bool:
        """Whether the file is encrypted."""
        return is_sealed_file(self.path)

    @property
    def numbers(self) -> int:
        """Numbers of an embedding."""
        return int(self.contents.templates.shape[1])

    def __len__(self) -> int:
        return len(self.contents.counts)

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def index(self, name: str) -> int:
        """A person's place in the order of the names. Raises UnknownPerson."""
        person = self._find(name)
        if person is None:
            known = ", ".join(self._name(person) for person in range(min(5, len(self))))
            more = ", ..." if len(self) > 5 else ""
            raise UnknownPerson(
                f"{name} is not enrolled in {self.path} (enrolled: {known or 'nobody'}{more}); "
                "check the name with: edgeface list"
            )
        return person

    def require(self, name: str) -> None:
        """Raises UnknownPerson if `name` is not enrolled."""
        self.index(name)

    @property
    def people(self) -> list[tuple[PersonName, int]]:
        """Names and how many templates each has, in the names' byte order."""
        return list(zip(self._names(), self.contents.counts.tolist(), strict=True))

    @property
    def template_counts(self) -> NDArray[np.int32]:
        """How many templates each person has, shape (people,)."""
        return self.contents.counts

    @cached_property
    def resemblance(self) -> Resemblance | None:
        """How much the enrolled people look like each other; None for too few to know."""
        return resemblance(self.contents)

    def templates(self, name: str) -> NDArray[np.float32]:
        """A person's templates as unit vectors, shape (m, n). Raises UnknownPerson."""
        return self.contents.unit_templates(self.contents.rows_of(self.index(name)))

    def days(self, name: str) -> NDArray[np.int32]:
        """When a person's templates were added, in days since 1970, 0 where nobody knows, shape
        (m,). Raises UnknownPerson."""
        return self.contents.days_of(self.contents.rows_of(self.index(name)))

    def only(self, names: Sequence[PersonName]) -> Contents:
        """The contents of a gallery of these people alone. Raises UnknownPerson."""
        nobody = empty_contents(self.contents.model_identity, self.numbers)
        return with_people(
            nobody,
            {name.encode(): self.templates(name) for name in names},
            {name.encode(): self.days(name) for name in names},
        )

    def compare(self, name: str, probe: Embedding) -> Match:
        """The score of `probe` (unit length, shape (n,)) with one person. Raises UnknownPerson."""
        person = self.index(name)
        old = self.contents
        rows = old.rows_of(person)
        scores = Searcher(old.templates[rows], old.scales[rows]).scores(probe)
        score = (scores.max() + np.add.reduce(scores) * old.closeness[person]) / 2
        return Match(self._name(person), float(score), len(scores))

    def search(self, probe: Embedding, most: int = 1) -> list[Match]:
        """The `most` best people for `probe`, the best first; empty if nobody is enrolled."""
        if not len(self):
            return []
        old, (scores, centres) = self.contents, self._person_scores
        by_template = self._searcher.scores(probe)
        starts = old.starts[:-1]
        np.maximum.reduceat(by_template, starts, out=scores)
        np.add.reduceat(by_template, starts, out=centres)
        np.multiply(centres, old.closeness, out=centres)
        np.add(scores, centres, out=scores)
        np.multiply(scores, np.float32(0.5), out=scores)
        found = []
        for _ in range(min(most, len(self))):
            person = int(scores.argmax())
            found.append(Match(self._name(person), float(scores[person]), int(old.counts[person])))
            scores[person] = -np.inf
        return found

    def centres(self) -> NDArray[np.float32]:
        """The centre of each person's templates, of unit length, shape (people, n)."""
        nobody = self.contents.unit_templates(slice(0))
        return np.concatenate([nobody, *sums(self.contents)]) * self.contents.closeness[:, None]

    def _name(self, person: int) -> PersonName:
        return PersonName(self.contents.encoded_name(person).decode())  # the reader checked it

    def _names(self) -> list[PersonName]:
        return [PersonName(name) for name in self.contents.names.decode().split("\n")[:-1]]

    def _find(self, name: str) -> int | None:
        wanted = name.encode(errors="surrogatepass")
        people = range(len(self))
        person = bisect_left(people, wanted, key=self.contents.encoded_name)
        found = person < len(self) and self.contents.encoded_name(person) == wanted
        return person if found else None


def _made_with_another(path: Path, identity: str, model: Model) -> str:
    """Why a gallery is refused, and how to go on."""
    theirs, ours = shipped_with(identity), shipped_with(model.identity)
    made_with = f"{theirs.name} {identity[:12]}" if theirs else identity[:12]
    sentence = (
        f"the gallery {path} was made with another model ({made_with}) than {model.path.name} "
        f"({model.identity[:12]}); "
    )
    if theirs is None or ours is None:
        return sentence + "use that model, or another --gallery and enroll again"
    return sentence + (
        f"go on with it: edgeface model use {theirs.name}, or keep it aside and enroll everybody "
        f"again: edgeface model use {ours.name}"
    )


def file_signature(path: Path) -> tuple[int, ...] | None:
    """What differs when a file has been changed or replaced; None if there is none."""
    try:
        state = path.lstat()
    except OSError:
        return None
    # The time of the last change of state, too: another owner or mode changes who may read it.
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
