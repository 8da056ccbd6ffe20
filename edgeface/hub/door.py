"""Door: makes a door's gallery what a signed package says, and never goes back.

Takes in a package's bytes, the door's memory and its gallery; hands on the memory that the door has
then. Whom the hub has sent, the hub removes; whom somebody enrolled here stays. Names are noted
before the gallery is written and the generation afterwards: after a crash at any point the door
still knows whom it had from the hub, and takes the same package again. It asks for nothing over a
network and decides about nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgeface.errors import GalleryError
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.names import PersonName, person_name
from edgeface.hub.memory import Memory, digest, memory_file, recall, remember
from edgeface.hub.package import Package, Person, public_key, templates_of, verify
from edgeface.pipeline.model_file import Model
from edgeface.system.storage import InUse, locked

_PATIENCE = 10.0  # seconds to wait for another process of this door


@dataclass(frozen=True)
class Door:
    """One door: its gallery, the gallery's key, and the model that both must fit."""

    gallery: Path
    model: Model
    key: bytes | None = None

    def join(self, name: str, hub: str, source: str = "", token: str = "", ca: str = "") -> Memory:
        """Make this the door `name` of the hub whose public key (64 hexadecimal digits) is `hub`.

        Raises GalleryError for a name or a key that is none, and for a door of another hub.
        """
        new = Memory(
            door=person_name(name), hub=public_key(hub).hex(), source=source, token=token, ca=ca
        )
        with self._locked():
            if memory_file(self.gallery).exists():
                before = recall(self.gallery, self.key)
                if (before.door, before.hub) != (new.door, new.hub):
                    raise GalleryError(
                        f"this is the door {before.door!r} of the hub {before.hub[:12]}; to make "
                        f"it another, delete {memory_file(self.gallery)} first"
                    )
                new = msgspec.structs.replace(before, source=source, token=token, ca=ca)
            Gallery.open(self.gallery, self.model, self.key)  # refuses what could never be changed
            self._remember(new)
        return new

    def base(self) -> int:
        """The generation from which to ask for changes: 0, that is for everybody, where the
        gallery does not have what the hub sent, as after damage."""
        memory = recall(self.gallery, self.key)
        gallery = Gallery.open(self.gallery, self.model, self.key)
        intact = all(_held(gallery, name) == rows for name, rows in memory.held.items())
        return memory.generation if intact else 0

    def own(self) -> list[PersonName]:
        """Who is enrolled at this door and was not sent by the hub."""
        held = recall(self.gallery, self.key).held
        gallery = Gallery.open(self.gallery, self.model, self.key)
        return [name for name, _ in gallery.people if name not in held]

    def apply(self, data: bytes, now: float) -> Memory:
        """Make the gallery what a package says; returns what the door remembers then.

        Raises GalleryError, with the gallery unchanged, for a package that is forged, cut short,
        expired at `now` (seconds since 1970), for another door or model, older than what the door
        has, or that starts from a state which the door is not in.
        """
        with self._locked():
            before = recall(self.gallery, self.key)
            package = verify(data, bytes.fromhex(before.hub))
            self._require_ours(package, before.door, now)
            _require_newer(package, before)
            arriving = {one.name: digest(one.rows) for one in package.people}
            with GalleryChange.open(self.gallery, self.model, self.key) as change:
                _require_known(package, before, change.gallery)
                _take(change, package, before)
                noted = msgspec.structs.replace(before, held=before.held | arriving)
                self._remember(noted)
            gone = () if package.whole else package.removed
            stays = {} if package.whole else before.held
            after = msgspec.structs.replace(
                before,
                generation=package.generation,
                made=package.made,
                held={name: rows for name, rows in stays.items() if name not in gone} | arriving,
            )
            self._remember(after)
        return after

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time is the door."""
        try:
            with locked(memory_file(self.gallery), _PATIENCE):
                yield
        except InUse as error:
            raise GalleryError(
                f"another process ({error}) is working on this door; try again when it has ended"
            ) from None

    def _remember(self, memory: Memory) -> None:
        try:
            remember(self.gallery, self.key, memory)
        except OSError as error:
            raise GalleryError(
                f"cannot write {memory_file(self.gallery)} ({error.strerror}); make room, and "
                "apply the package again"
            ) from None

    def _require_ours(self, package: Package, name: str, now: float) -> None:
        if package.door != name:
            raise GalleryError(
                f"the package is for the door {package.door!r}, and this is {name!r}; nothing was "
                "taken from it"
            )
        model = self.model
        if package.model != model.identity or package.numbers != model.description.embedding.size:
            raise GalleryError(
                f"the package is for the model {package.model[:12]}, and this door has "
                f"{model.path.name} ({model.identity[:12]}); give the door the hub's model"
            )
        if now > package.expires:
            raise GalleryError(
                "the package has expired, or this door's clock is wrong; check the clock, then get "
                "another package from the hub"
            )


def _require_newer(package: Package, memory: Memory) -> None:
    """A snapshot may repeat what the door has; what changed must start there or before."""
    if package.generation < memory.generation:
        raise GalleryError(
            f"the package is older (generation {package.generation}) than what this door has "
            f"({memory.generation}); nothing was taken from it"
        )
    if package.base > memory.generation:
        raise GalleryError(
            f"the package has what changed since generation {package.base}, and this door has "
            f"{memory.generation}; get a snapshot from the hub"
        )


def _require_known(package: Package, memory: Memory, gallery: Gallery) -> None:
    """Nobody of another's name may arrive, and changes need what they are changes of."""
    for one in package.people:
        if one.name in gallery and one.name not in memory.held and not _same(gallery, one):
            raise GalleryError(
                f"another {one.name} was enrolled at this door, so that nothing was taken from the "
                f"package; give one of them another name: edgeface rename {one.name!r} NEW"
            )
    if package.whole:
        return
    changed = {one.name for one in package.people} | set(package.removed)
    for name, rows in memory.held.items():
        if name not in changed and _held(gallery, name) != rows:
            raise GalleryError(
                f"the gallery {gallery.path} does not have what the hub sent ({name} differs), so "
                "that changes cannot be added to it; get a snapshot from the hub"
            )


def _take(change: GalleryChange, package: Package, memory: Memory) -> None:
    """Remove who is gone or different, then add who is new or different."""
    before = change.gallery
    arriving = {one.name: one for one in package.people}
    different = {name: one for name, one in arriving.items() if not _same(before, one)}
    gone = (memory.held.keys() - arriving.keys()) if package.whole else set(package.removed)
    leaving = (gone & memory.held.keys()) | different.keys()
    change.remove_people([PersonName(name) for name in leaving if name in before])
    if different:
        change.add_people(
            {name: templates_of(one, package.numbers) for name, one in different.items()},
            {name: np.array(one.days, np.int32) for name, one in different.items()},
        )


def _same(gallery: Gallery, one: Person) -> bool:
    """Whether somebody is enrolled with exactly these templates."""
    return _held(gallery, one.name) == digest(one.rows)


def _held(gallery: Gallery, name: str) -> str | None:
    """The digest of a person's templates, None for nobody."""
    if name not in gallery:
        return None
    held = gallery.contents
    return digest(held.templates[held.rows_of(gallery.index(name))].tobytes())
