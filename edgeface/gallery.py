"""Gallery: the enrolled people and their templates, and how well a probe matches each.

Takes in embeddings, hands on `Match`es (name, score). Templates are kept as int8 with one scale
each. It knows no pictures and sets no threshold. A gallery belongs to the model that made its
embeddings, since another model's numbers mean something else.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeface.encode import Embedding
from edgeface.errors import GalleryError, UnknownPerson
from edgeface.gallery_file import Contents, read_contents, write_contents
from edgeface.model import Model

_LONGEST_NAME = 200
_BLOCK = 8192  # templates converted to float at once: 4 MiB, which stays in the cache


@dataclass(frozen=True)
class Match:
    """A person and the best score of a probe against that person's templates (cosine)."""

    name: str
    score: float


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
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise GalleryError(
            f"a person's name must be 1 to {_LONGEST_NAME} printable characters, not {name!r}"
        )
    return name


class Gallery:
    """The templates of all enrolled people, in memory; `save` makes changes durable."""

    def __init__(self, path: Path, model: Model, contents: Contents | None = None) -> None:
        numbers = model.description.embedding.size
        if contents is None:
            contents = Contents(
                model.identity,
                [],
                np.empty(0, np.int32),
                np.empty((0, numbers), np.int8),
                np.empty(0, np.float32),
            )
        if contents.model_identity != model.identity:
            raise GalleryError(
                f"the gallery {path} was made with another model ({contents.model_identity[:12]}) "
                f"than {model.path.name} ({model.identity[:12]}); use that model, or another "
                "--gallery and enroll again"
            )
        self.path = path
        self._contents = contents

    @classmethod
    def open(cls, path: Path, model: Model) -> Gallery:
        """The gallery in a file; an empty one if there is no file yet.

        Raises GalleryError for a damaged file or one made with another model.
        """
        return cls(path, model, read_contents(path) if path.exists() else None)

    def save(self) -> None:
        """Write the gallery to its file, durably and all at once."""
        write_contents(self.path, self._contents)

    def __len__(self) -> int:
        return len(self._contents.names)

    def __contains__(self, name: str) -> bool:
        return name in self._contents.names

    def require(self, name: str) -> None:
        """Raises UnknownPerson if `name` is not enrolled."""
        self._index(name)

    @property
    def people(self) -> list[tuple[str, int]]:
        """Names and how many templates each has, in the order of enrollment."""
        counts = np.bincount(self._contents.owners, minlength=len(self))
        return list(zip(self._contents.names, counts.tolist(), strict=True))

    def add(self, name: str, embeddings: Sequence[Embedding]) -> None:
        """Add templates (unit length, shape (n,)) to a person, who is new or known."""
        old = self._contents
        names = old.names if name in old.names else [*old.names, name]
        rows = np.stack(embeddings)
        largest = np.abs(rows).max(axis=1, keepdims=True)
        quantized = np.rint(rows * (127 / largest)).astype(np.int8)
        # The scale gives the rounded row unit length again, so that a score stays a cosine.
        scales = (1 / np.linalg.norm(quantized.astype(np.float32), axis=1)).astype(np.float32)
        owners = np.full(len(rows), names.index(name), np.int32)
        self._contents = Contents(
            old.model_identity,
            names,
            np.concatenate((old.owners, owners)),
            np.concatenate((old.embeddings, quantized)),
            np.concatenate((old.scales, scales)),
        )

    def remove(self, name: str) -> int:
        """Remove a person; returns how many templates went. Raises UnknownPerson."""
        old, index = self._contents, self._index(name)
        keep = old.owners != index
        owners = old.owners[keep]
        self._contents = Contents(
            old.model_identity,
            [other for other in old.names if other != name],
            np.where(owners > index, owners - 1, owners).astype(np.int32),
            old.embeddings[keep],
            old.scales[keep],
        )
        return int((~keep).sum())

    def compare(self, name: str, probe: Embedding) -> Match:
        """The best score of `probe` (unit length, shape (n,)) against one person's templates.

        Raises UnknownPerson.
        """
        rows = self._contents.owners == self._index(name)
        scores = self._scores(self._contents.embeddings[rows], self._contents.scales[rows], probe)
        return Match(name, float(scores.max()))

    def search(self, probe: Embedding, most: int = 1) -> list[Match]:
        """The `most` best people for `probe`, the best first; empty if nobody is enrolled."""
        if not len(self):
            return []
        best = np.full(len(self), -np.inf, np.float32)
        for start in range(0, len(self._contents.owners), _BLOCK):
            block = slice(start, start + _BLOCK)
            scores = self._scores(
                self._contents.embeddings[block], self._contents.scales[block], probe
            )
            np.maximum.at(best, self._contents.owners[block], scores)
        order = np.argsort(-best, kind="stable")[:most]
        return [Match(self._contents.names[i], float(best[i])) for i in order]

    def _scores(
        self, embeddings: NDArray[np.int8], scales: NDArray[np.float32], probe: Embedding
    ) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = (embeddings.astype(np.float32) @ probe) * scales
        return scores

    def _index(self, name: str) -> int:
        try:
            return self._contents.names.index(name)
        except ValueError:
            known = ", ".join(self._contents.names[:5]) or "nobody"
            more = ", ..." if len(self) > 5 else ""
            raise UnknownPerson(
                f"{name} is not enrolled in {self.path} (enrolled: {known}{more}); "
                "check the name with: edgeface list"
            ) from None
