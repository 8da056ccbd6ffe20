"""Gallery: the enrolled people and their templates, and how well a probe matches each.

Takes in embeddings, hands on `Match`es (name, score). A person's score is the mean of two cosines:
with the nearest template, and with the centre of all templates; of the ways to join several
templates this one missed fewest people at the same false alarms (docs/identification.md). It knows
no pictures and sets no threshold. A gallery belongs to the model that made its embeddings, since
another model's numbers mean something else.
"""

from __future__ import annotations

import os
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import GalleryError, UnknownPerson
from edgeface.gallery.contents import (
    LONGEST_NAME,
    Contents,
    empty_contents,
    sums,
    with_people,
    with_templates,
    without_person,
)
from edgeface.gallery.file import is_sealed_file
from edgeface.gallery.search import Searcher
from edgeface.gallery.store import Loaded, commit, exclusively, load, load_for_change
from edgeface.pipeline.model_file import Model

if TYPE_CHECKING:
    from edgeface.pipeline.encode import Embedding


@dataclass(frozen=True)
class Match:
    """A person, the score of a probe with them (a cosine), and how many templates they have."""

    name: str
    score: float
    templates: int


def default_gallery_path() -> Path:
    """EDGEFACE_GALLERY if set, else the XDG data folder of this user."""
    chosen = os.environ.get("EDGEFACE_GALLERY")
    if chosen:
        return Path(chosen)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "edgeface" / "gallery.safetensors"


def clean_name(name: str) -> str:
    """The name as it is stored: trimmed, Unicode NFC. GalleryError if it cannot be a name."""
    name = unicodedata.normalize("NFC", name.strip())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise GalleryError(
            f"a person's name must be 1 to {LONGEST_NAME} printable characters, not {name!r}"
        )
    return name


class Gallery:
    """The templates of all enrolled people. `open` it to look, `changing` to change it.

    One thread at a time. `restored` is the sentence to show when the file was damaged and its
    last generation took its place, else None.
    """

    def __init__(
        self, path: Path, model: Model, loaded: Loaded, seen: tuple[int, ...] | None = None
    ) -> None:
        contents = loaded.contents
        if contents is None:
            contents = empty_contents(model.identity, model.description.embedding.size)
        if contents.model_identity != model.identity:
            raise GalleryError(
                f"the gallery {path} was made with another model ({contents.model_identity[:12]}) "
                f"than {model.path.name} ({model.identity[:12]}); use that model, or another "
                "--gallery and enroll again"
            )
        self.path = path
        self.restored = loaded.restored
        self._seen = seen
        self._removed = False
        self._use(contents)

    @classmethod
    def open(cls, path: Path, model: Model, key: bytes | None = None) -> Gallery:
        """The gallery in a file, to look at; an empty one if there is no file yet.

        A damaged file is restored from its last generation (see `restored`). Raises GalleryError
        where that cannot be done, for a file made with another model and for a wrong key.
        """
        seen = _signature(path)  # before the bytes are read: a change in between is then noticed
        return cls(path, model, load(path, key), seen)

    @classmethod
    @contextmanager
    def changing(cls, path: Path, model: Model, key: bytes | None = None) -> Iterator[Gallery]:
        """The gallery in a file, to be changed by this process alone.

        When the block ends without an error the change is on the disk for good; with one, nothing
        was changed. Raises GalleryError as `open` does, when another process keeps the gallery for
        ten seconds (naming it), and when the disk does not take the change.
        """
        with exclusively(path):
            gallery = cls(path, model, load_for_change(path, key))
            before = gallery._contents
            yield gallery
            if gallery._contents is not before:
                following = replace(gallery._contents, generation=before.generation + 1)
                commit(path, following, key, forget=gallery._removed)
                gallery._use(following)
                gallery._seen = _signature(path)

    def _use(self, contents: Contents) -> None:
        self._contents = contents
        self._searcher = Searcher(contents.templates, contents.scales)
        self._person_scores = np.empty((2, len(contents.counts)), np.float32)

    @property
    def outdated(self) -> bool:
        """Whether the file was changed since it was opened; open it again then."""
        return self._seen != _signature(self.path)

    @property
    def generation(self) -> int:
        """How many changes made this gallery."""
        return self._contents.generation

    @property
    def encrypted(self) -> bool:
        """Whether the file is encrypted."""
        return is_sealed_file(self.path)

    @property
    def numbers(self) -> int:
        """Numbers of an embedding."""
        return int(self._contents.templates.shape[1])

    def __len__(self) -> int:
        return len(self._contents.counts)

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def require(self, name: str) -> None:
        """Raises UnknownPerson if `name` is not enrolled."""
        self._index(name)

    @property
    def people(self) -> list[tuple[str, int]]:
        """Names and how many templates each has, in the names' byte order."""
        return list(zip(self._names(), self._contents.counts.tolist(), strict=True))

    @property
    def template_counts(self) -> NDArray[np.int32]:
        """How many templates each person has, shape (people,)."""
        return self._contents.counts

    def templates(self, name: str) -> NDArray[np.float32]:
        """A person's templates as unit vectors, shape (m, n). Raises UnknownPerson."""
        return self._contents.unit_templates(self._contents.rows_of(self._index(name)))

    def add(self, name: str, embeddings: Sequence[Embedding]) -> None:
        """Add templates (unit length, shape (n,)) to a person, who is new or known."""
        self.add_people({name: np.stack(embeddings)})

    def add_people(self, people: Mapping[str, NDArray[np.float32]]) -> None:
        """Add the templates (unit rows, shape (m, n), m >= 1) of people who are new or known.

        Raises GalleryError for a name that cannot be one.
        """
        encoded = {clean_name(name).encode(): rows for name, rows in people.items()}
        self._use(with_people(self._contents, encoded))

    def only(self, names: Sequence[str]) -> Contents:
        """The contents of a gallery of these people alone. Raises UnknownPerson."""
        nobody = empty_contents(self._contents.model_identity, self.numbers)
        return with_people(nobody, {name.encode(): self.templates(name) for name in names})

    def remove(self, name: str) -> int:
        """Remove a person; returns how many templates went. Raises UnknownPerson."""
        person = self._index(name)
        templates = int(self._contents.counts[person])
        self._use(without_person(self._contents, person))
        self._removed = True
        return templates

    def keep_templates(self, keep: NDArray[np.bool_]) -> None:
        """Drop the templates where `keep` (shape (templates,)) is False; one of each person must
        stay."""
        self._use(with_templates(self._contents, keep))
        self._removed = True

    def compare(self, name: str, probe: Embedding) -> Match:
        """The score of `probe` (unit length, shape (n,)) with one person. Raises UnknownPerson."""
        person = self._index(name)
        old = self._contents
        rows = old.rows_of(person)
        scores = Searcher(old.templates[rows], old.scales[rows]).scores(probe)
        score = (scores.max() + np.add.reduce(scores) * old.closeness[person]) / 2
        return Match(name, float(score), len(scores))

    def search(self, probe: Embedding, most: int = 1) -> list[Match]:
        """The `most` best people for `probe`, the best first; empty if nobody is enrolled."""
        if not len(self):
            return []
        old, (scores, centres) = self._contents, self._person_scores
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
        nobody = self._contents.unit_templates(slice(0))
        return np.concatenate([nobody, *sums(self._contents)]) * self._contents.closeness[:, None]

    def _name(self, person: int) -> str:
        return self._contents.encoded_name(person).decode()

    def _names(self) -> list[str]:
        return self._contents.names.decode().split("\n")[:-1]

    def _find(self, name: str) -> int | None:
        wanted = name.encode(errors="surrogatepass")
        people = range(len(self))
        person = bisect_left(people, wanted, key=self._contents.encoded_name)
        found = person < len(self) and self._contents.encoded_name(person) == wanted
        return person if found else None

    def _index(self, name: str) -> int:
        person = self._find(name)
        if person is None:
            known = ", ".join(self._name(person) for person in range(min(5, len(self))))
            more = ", ..." if len(self) > 5 else ""
            raise UnknownPerson(
                f"{name} is not enrolled in {self.path} (enrolled: {known or 'nobody'}{more}); "
                "check the name with: edgeface list"
            )
        return person


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
