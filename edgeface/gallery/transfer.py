"""Transfer: moves people between galleries through a file, and changes how a gallery is kept.

Takes in galleries and keys, hands on files. An exported file is a gallery file. It encodes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeface.errors import GalleryError
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.file import is_sealed_file, read_contents, to_chunks
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.names import PersonName, near_names
from edgeface.gallery.store import Loaded, bring_back, commit, exclusively, load_for_change
from edgeface.pipeline.model_file import Model
from edgeface.system.privileges import Owner
from edgeface.system.storage import write_new

_SAME_PICTURE = 0.995  # cosine of two templates above which the second adds nothing


@dataclass(frozen=True)
class Imported:
    """Who was imported, and what somebody should look at."""

    people: list[PersonName]
    warnings: tuple[str, ...]


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
    file: Path, from_key: bytes | None, path: Path, model: Model, key: bytes | None, *, force: bool
) -> Imported:
    """Add the people of an exported file to the gallery at `path`.

    Raises GalleryError when somebody is enrolled already (unless `force`), and as opening does.
    """
    try:
        contents = read_contents(file, from_key if is_sealed_file(file) else None)
    except FileNotFoundError:
        raise GalleryError(f"there is no file {file}; check the path") from None
    arriving = Gallery(file, model, Loaded(contents))
    names = [name for name, _ in arriving.people]
    with GalleryChange.open(path, model, key) as change:
        known = [name for name in names if name in change.gallery]
        if known and not force:
            raise GalleryError(
                f"nobody was imported: {known[0]} is enrolled already"
                + (f", and {len(known) - 1} more" if known[1:] else "")
                + "; use --force to add to them"
            )
        warnings = near_names(
            [name for name in names if name not in change.gallery],
            [name for name, _ in change.gallery.people],
        )
        if names:
            change.add_people({name: arriving.templates(name) for name in names})
    return Imported(names, warnings)


def restore(
    file: Path, from_key: bytes | None, path: Path, model: Model, key: bytes | None
) -> Gallery:
    """Make the people of a gallery file (a backup, an export, the last generation) the gallery at
    `path`, beside a running service too; returns it.

    Raises GalleryError, with the gallery unchanged, for a file that cannot be one.
    """
    with exclusively(path) as folder:
        try:
            contents = read_contents(file, from_key)
        except FileNotFoundError:
            raise GalleryError(f"there is no file {file}; check the path") from None
        Gallery(file, model, Loaded(contents))  # refuses another model's
        return Gallery(path, model, Loaded(bring_back(folder, path, contents, key)))


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
        keep = [_needed(change.gallery, name) for name, _ in change.gallery.people]
        if keep:
            change.keep_templates(np.concatenate(keep))
    return sum(int((~needed).sum()) for needed in keep)


def _needed(gallery: Gallery, name: PersonName) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    rows = gallery.templates(name)
    needed = np.ones(len(rows), np.bool_)
    for number in range(1, len(rows)):
        earlier = rows[:number][needed[:number]]
        needed[number] = float((earlier @ rows[number]).max()) < _SAME_PICTURE
    return needed
