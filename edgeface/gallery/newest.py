"""Newest: the newest state of a gallery that was ever used, so that no older one is used after it.

Takes in galleries as they are read, hands on whether one is older than what was used before: who
was removed since would come back with it. With a store, a small file in the folder of whoever uses
the gallery, that is known after a restart, too. It reads no gallery itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgeface.errors import GalleryError
from edgeface.gallery.contents import Contents
from edgeface.system.storage import open_regular, write_atomically

if TYPE_CHECKING:
    from edgeface.gallery.gallery import Gallery

STORE = "gallery-newest.json"
"""The store's name in the folder of whoever uses galleries."""
_LARGEST = 1 << 20  # bytes


class OlderGallery(GalleryError):
    """A gallery that is older than one that was used before."""


class State(msgspec.Struct, frozen=True):
    """How many changes made a gallery, and the SHA-256 of what it holds."""

    generation: int
    sha256: str


class Newest:
    """The newest state of the gallery at `path`, kept in `store` if there is one."""

    def __init__(self, path: Path, store: Path | None = None) -> None:
        """Raises nothing: as long as the store cannot be read `refuse_older` refuses everybody."""
        self.path, self._store = path, store
        self._used: Gallery | None = None  # by this process, the newest
        self._kept: State | None = None
        self._trouble: str | None = None
        self._load()

    def _load(self) -> None:
        if self._store is None:
            return
        try:
            self._kept, self._trouble = known_states(self._store).get(_key(self.path)), None
        except (OSError, ValueError) as error:
            self._trouble = getattr(error, "strerror", None) or "it is damaged"

    @property
    def generation(self) -> int:
        """Of the newest state, 0 if none is known."""
        known = self._used or self._kept
        return 0 if known is None else known.generation

    def refuse_older(self, gallery: Gallery) -> None:
        """Raises OlderGallery unless this is the newest state, or a later one.

        No gallery at all is nobody's, and may be what is begun with; not what it becomes.
        """
        contents = gallery.contents
        if not contents.generation and not len(gallery):
            if self._used is not None and self._used.generation:
                raise OlderGallery(
                    f"the gallery {self.path} is gone, and nobody is recognized; bring it back "
                    "with: edgeface gallery restore FILE, or restart whatever uses it to begin "
                    "with nobody"
                )
            return
        if self._trouble is not None:  # an administrator may have mended it
            self._load()
        if self._trouble is not None:
            raise OlderGallery(
                f"whether the gallery {self.path} is an older copy is not known, since "
                f"{self._store} cannot be read ({self._trouble}), and nobody in it is recognized; "
                f"if it is the right one, run: edgeface gallery restore {self.path}"
            )
        if self._followed_by(gallery):
            return
        raise OlderGallery(
            f"the gallery {self.path} went back from change {self.generation} to "
            f"{contents.generation}, so that nobody in it is recognized: an older copy took its "
            f"place; if that is meant, run: edgeface gallery restore {self.path}"
        )

    def note(self, gallery: Gallery) -> None:
        """Remember a gallery that was not refused. Raises OSError where the store cannot be
        written; the gallery is remembered as long as this lives."""
        if not gallery.generation:
            return
        known, self._used = self.generation, gallery
        if self._store is not None and (gallery.generation > known or self._kept is None):
            self._keep(self._store, gallery.contents)

    def _keep(self, store: Path, contents: Contents) -> None:
        try:
            others = known_states(store)
        except ValueError:
            others = {}
        self._kept = State(contents.generation, contents.sha256)
        states = {**others, _key(self.path): self._kept}
        write_atomically(store, [msgspec.json.encode(states)])

    def _followed_by(self, gallery: Gallery) -> bool:
        if self._used is not None:
            return gallery.follows(self._used)
        kept, contents = self._kept, gallery.contents
        if kept is None or contents.generation > kept.generation:
            return True
        return contents.generation == kept.generation and contents.sha256 == kept.sha256


def known_states(store: Path) -> dict[str, State]:
    """The states in a store, by the galleries' paths; none where there is no store. Raises OSError
    and ValueError."""
    try:
        handle = open_regular(store)
    except FileNotFoundError:
        return {}
    with os.fdopen(handle, "rb") as file:
        try:
            return msgspec.json.decode(file.read(_LARGEST), type=dict[str, State])
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from None


def newest_generation(path: Path, stores: Iterable[Path]) -> int:
    """The highest generation of a gallery that the stores know, for who accepts another.

    One that is damaged is removed: an administrator has just said which gallery is right.
    """
    highest = 0
    for store in stores:
        try:
            state = known_states(store).get(_key(path))
        except OSError:  # another user's, whose galleries these are not
            continue
        except ValueError:
            with suppress(OSError):
                store.unlink()
            continue
        highest = max(highest, state.generation if state is not None else 0)
    return highest


def _key(path: Path) -> str:
    return os.path.abspath(path)
