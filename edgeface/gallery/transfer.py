"""Transfer: moves people between galleries through a file, and changes how a gallery is kept.

Takes in galleries and keys, hands on files. An exported file is a gallery file. It encodes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import GalleryError
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.duplicates import SAME_PICTURE, distinct
from edgeface.gallery.file import is_sealed_file, read_contents, to_chunks
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.names import PersonName, near_names
from edgeface.gallery.newest import newest_generation
from edgeface.gallery.store import Loaded, bring_back, commit, exclusively, load_for_change
from edgeface.pipeline.model_file import Model
from edgeface.system.privileges import Owner
from edgeface.system.storage import write_new


@dataclass(frozen=True)
class Imported:
    """Who is in the file, what somebody should look at, who is new, who was enrolled already and
    has templates that are new, and who was removed."""

    people: list[PersonName]
    warnings: tuple[str, ...]
    added: list[PersonName]
    updated: list[PersonName]
    removed: list[PersonName]


def export_people(
    gallery: Gallery, file: Path, names: Sequence[PersonName], key: bytes | None
) -> list[PersonName]:
    """Write some people (none named: all) to a new file; returns their names.

    Raises UnknownPerson, and GalleryError when the file exists or cannot be written.
    """
    chosen = sorted(set(names)) or [name for name, _ in gallery.people]
    if not chosen:
        raise GalleryError(f"nobody is enrolled in {gallery.path}; there is nobody to export")
    contents = gallery.only(chosen)
    try:
        write_new(file, to_chunks(contents, key))
    except FileExistsError:
        raise GalleryError(f"{file} exists; choose another file or move it away") from None
    except OSError as error:
        raise GalleryError(
            f"cannot write {file}: {error.strerror}; choose a folder in which the user "
            f"{Owner(os.geteuid(), os.getegid()).name} may write"
        ) from None
    return chosen


def import_people(
    file: Path,
    from_key: bytes | None,
    path: Path,
    model: Model,
    key: bytes | None,
    *,
    force: bool,
    same: float | None = None,
    exact: bool = False,
) -> Imported:
    """Add the people of an exported file to the gallery at `path`.

    Who is enrolled already gets the templates that are new, where each is at least as near as
    `same` (a cosine) to one of theirs; `force` skips that check. With `exact` the gallery holds the
    people and templates of the file, and nobody else, afterwards. Raises GalleryError when somebody
    of this name looks like another person, and as opening does; nothing is changed then.
    """
    try:
        contents = read_contents(file, from_key if is_sealed_file(file) else None)
    except FileNotFoundError:
        raise GalleryError(f"there is no file {file}; check the path") from None
    arriving = Gallery(file, model, Loaded(contents))
    names = [name for name, _ in arriving.people]
    with GalleryChange.open(path, model, key) as change:
        before = change.gallery
        known = {name for name, _ in before.people}
        if not force:
            _require_same_people([n for n in names if n in known], arriving, before, same)
        warnings = near_names([n for n in names if n not in known], [] if exact else known)
        fresh = {name: _fresh(arriving, before, name) for name in names}
        gone = sorted(known - set(names)) if exact else []
        removed = [*gone, *(_surplus(arriving, before, names) if exact else ())]
        for name in removed:
            change.remove(name)
        adding = [n for n in names if fresh[n].any() or n not in change.gallery]
        rows = {n: fresh[n] if n in change.gallery else fresh[n] | True for n in adding}
        if adding:
            change.add_people(
                {n: arriving.templates(n)[rows[n]] for n in adding},
                {n: arriving.days(n)[rows[n]] for n in adding},
            )
    added = [name for name in names if name not in known]
    updated = [name for name in adding if name in known]
    return Imported(names, warnings, added, updated, gone)


def _require_same_people(
    names: Sequence[PersonName], arriving: Gallery, before: Gallery, same: float | None
) -> None:
    """Raise GalleryError unless the people of these names look the same in both galleries."""
    for name in names:
        cosines = arriving.templates(name) @ before.templates(name).T
        score = float(cosines.max(axis=1).min())
        if score < (SAME_PICTURE if same is None else same):
            raise GalleryError(
                f"nobody was imported: {name} is enrolled already and looks like another person "
                f"({score:.2f}); rename one of the two, or use --force to add to them"
            )


def _fresh(arriving: Gallery, before: Gallery, name: PersonName) -> NDArray[np.bool_]:
    """Which templates of a person are not enrolled yet."""
    known = before.templates(name) if name in before else None
    rows = arriving.templates(name)
    return distinct(rows, known) if known is not None else np.ones(len(rows), np.bool_)


def _surplus(arriving: Gallery, before: Gallery, names: Sequence[PersonName]) -> list[PersonName]:
    """The people of whom more is enrolled than the file holds: they are made from it again."""
    return [
        name
        for name in names
        if name in before and distinct(before.templates(name), arriving.templates(name)).any()
    ]


def restore(
    file: Path,
    from_key: bytes | None,
    path: Path,
    model: Model,
    key: bytes | None,
    stores: Sequence[Path] = (),
) -> Gallery:
    """Make the people of a gallery file (a backup, an export, the last generation) the gallery at
    `path`, beside a running service too; returns it.

    `stores` are where services may keep which state they have used (newest.py): they take this one.

    Raises GalleryError, with the gallery unchanged, for a file that cannot be one.
    """
    with exclusively(path) as folder:
        try:
            contents = read_contents(file, from_key)
        except FileNotFoundError:
            raise GalleryError(f"there is no file {file}; check the path") from None
        Gallery(file, model, Loaded(contents))  # refuses another model's
        above = newest_generation(path, stores)
        return Gallery(path, model, Loaded(bring_back(folder, path, contents, key, above)))


def change_key(path: Path, key: bytes | None, new_key: bytes | None) -> None:
    """Write the gallery and its last generation again: sealed with `new_key`, or plain."""
    if not path.exists():
        raise GalleryError(f"there is no gallery {path}; check --gallery")
    with exclusively(path) as folder:
        loaded = load_for_change(folder, path, key)
        if loaded.contents is not None:
            commit(folder, path, loaded.contents, new_key, forget=True)


def compact(path: Path, model: Model, key: bytes | None) -> int:
    """Drop templates that another of the same person makes needless, and what is left over of
    earlier generations and damage; returns how many templates went."""
    with GalleryChange.open(path, model, key) as change:
        keep = [distinct(change.gallery.templates(n)) for n, _ in change.gallery.people]
        if keep:
            change.keep_templates(np.concatenate(keep))
    return sum(int((~needed).sum()) for needed in keep)
