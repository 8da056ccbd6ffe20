"""Store: keeps a gallery's file through power cuts, damage and several writers.

Takes in a path and a key, hands on `Contents` and takes changed ones back. Beside the gallery lie
FILE.previous (the last good generation), FILE.lock (whose holder may change it) and, after damage,
FILE.damaged (what was found, kept for study). It never judges what a change means.

A change: under the lock the new file is written beside and brought to the disk, the present file
becomes the previous one, the new one takes its place, the folder is brought to the disk. At every
instruction between, FILE is the old or the new one, whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeface.errors import GalleryError
from edgeface.gallery.contents import Contents
from edgeface.gallery.file import DamagedGallery, read_contents, to_chunks
from edgeface.system.storage import (
    InUse,
    locked,
    sweep,
    sync_folder,
    unfinished,
    write_atomically,
    write_beside,
)

LOCK_TIMEOUT = 10.0  # seconds to wait for another process's change


@dataclass(frozen=True)
class Loaded:
    """What a gallery file held (None: there is no gallery yet), and, where an earlier generation
    had to take its place, the sentence that says so."""

    contents: Contents | None
    restored: str | None = None


def previous_of(path: Path) -> Path:
    """Where the last good generation of a gallery is kept."""
    return path.with_name(f"{path.name}.previous")


def damaged_of(path: Path) -> Path:
    """Where a damaged gallery is put aside."""
    return path.with_name(f"{path.name}.damaged")


def load(path: Path, key: bytes | None) -> Loaded:
    """The gallery at `path`; a damaged or missing one is restored from its last generation.

    The restoration is written back, and logged as an error that names what was lost. Raises
    GalleryError when neither generation can be used.
    """
    try:
        return Loaded(read_contents(path, key))
    except (FileNotFoundError, DamagedGallery):
        if not previous_of(path).exists():
            return _without_previous(path, key)
    try:
        with locked(path, LOCK_TIMEOUT):
            return _restore(path, key)
    except OSError:  # no lock file can be made, or another holds it: use it without writing
        return _restore(path, key, write=False)


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Hold the gallery's lock for a change; GalleryError names who has it after ten seconds."""
    try:
        with locked(path, LOCK_TIMEOUT):
            sweep(path)
            yield
    except InUse as error:
        raise GalleryError(
            f"the gallery {path} is {error.args[0]}; try again when that has ended"
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None


def load_for_change(path: Path, key: bytes | None) -> Loaded:
    """As `load`, for the holder of the lock."""
    try:
        return Loaded(read_contents(path, key))
    except (FileNotFoundError, DamagedGallery):
        if previous_of(path).exists():
            return _restore(path, key)
        return _without_previous(path, key)


def commit(path: Path, contents: Contents, key: bytes | None, *, forget: bool = False) -> None:
    """Make `contents` the gallery at `path` (0600); the holder of the lock calls it.

    The generation that was there becomes the previous one; `forget` writes the new one in its
    place too, so that nothing removed can come back. Raises GalleryError with the old gallery
    unchanged when the folder or the disk does not take it.
    """
    waiting: list[Path] = []
    try:
        waiting.append(write_beside(path, to_chunks(contents, key)))
        if forget:
            waiting.append(write_beside(previous_of(path), to_chunks(contents, key)))
            os.replace(waiting[1], previous_of(path))
            damaged_of(path).unlink(missing_ok=True)
        elif path.exists():
            _keep(path, previous_of(path))
        os.replace(waiting[0], path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        for left in waiting:
            left.unlink(missing_ok=True)
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise GalleryError(
            f"the gallery {path} was changed, but the disk does not confirm that it will last "
            f"({error.strerror}); check the disk and repeat the command"
        ) from None


def _keep(path: Path, other: Path) -> None:
    """Give the file at `path` a second name, `other`, in one step and without copying it."""
    link = unfinished(path, "link")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:  # a file system without links, such as FAT
        write_atomically(other, [path.read_bytes()])
        return
    os.replace(link, other)
    link.unlink(missing_ok=True)  # it stays where both already were one file


def _restore(path: Path, key: bytes | None, *, write: bool = True) -> Loaded:
    """The previous generation, brought back unless `path` turns out to be good by now."""
    try:
        return Loaded(read_contents(path, key))
    except FileNotFoundError:
        problem = f"the gallery {path} is missing"
    except DamagedGallery as error:
        problem = str(error)
    previous = previous_of(path)
    try:
        contents = read_contents(previous, key)
    except (FileNotFoundError, DamagedGallery):
        raise DamagedGallery(
            f"{problem} and its last generation {previous} too; restore one from a backup, or "
            "move both away and enroll again"
        ) from None
    sentence = (
        f"{problem}; its last generation ({contents.generation}, {len(contents.counts)} people) "
        "took its place: what was changed since is lost, so look with: edgeface list"
    )
    try:
        if write:
            if path.exists():
                _keep(path, damaged_of(path))
            write_atomically(path, [previous.read_bytes()])
        else:
            sentence += " (it could not be written back)"
    except OSError as error:
        sentence += f" (it could not be written back: {error.strerror})"
    import logging  # hardly ever needed

    logging.getLogger("edgeface.gallery").error("%s", sentence)
    return Loaded(contents, sentence)


def _without_previous(path: Path, key: bytes | None) -> Loaded:
    try:
        return Loaded(read_contents(path, key))
    except FileNotFoundError:
        return Loaded(None)
    except DamagedGallery as error:
        raise DamagedGallery(
            f"{error} and it has no earlier generation; restore it from a backup, or move it away "
            "and enroll again"
        ) from None


def _unwritable(path: Path, error: OSError) -> GalleryError:
    return GalleryError(
        f"cannot write the gallery {path}: {error.strerror}; the old one is unchanged"
    )
