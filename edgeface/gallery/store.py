"""Store: keeps a gallery's file through power cuts, damage and several writers.

Takes in a path and a key, hands on `Contents` and takes changed ones back. Beside the gallery lie
FILE.previous (the last good generation), FILE.lock (whose holder may change it) and, after damage,
FILE.damaged (what was found, kept for study). It never judges what a change means.

A change: under the lock the new file is written beside and brought to the disk, the present file
becomes the previous one, the new one takes its place, the folder is brought to the disk. At every
instruction between, FILE is the old or the new one, whole. What was written is read back before it
takes anything's place. The folder is held open throughout.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from edgeface.errors import GalleryError
from edgeface.gallery.contents import Contents
from edgeface.gallery.file import READ_WHOLE, DamagedGallery, linked, read_contents, to_chunks
from edgeface.system.storage import Folder, InUse, unfinished

LOCK_TIMEOUT = 10.0  # seconds to wait for another process's change
FAR_ABOVE = 1000
"""Changes: more than were lost between a backup and what a service has seen."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


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
        pass
    try:
        folder = Folder(path.parent)
    except FileNotFoundError:
        return Loaded(None)
    except OSError as error:
        raise GalleryError(f"cannot read the gallery {path}: {error.strerror}") from None
    with folder:
        if not folder.exists(previous_of(path).name):
            return _without_previous(folder, path, key)
        try:
            with folder.locked(path.name, LOCK_TIMEOUT):
                return _restore(folder, path, key)
        except OSError:  # no lock file can be made, or another holds it: use it without writing
            return _restore(folder, path, key, write=False)


@contextmanager
def exclusively(path: Path) -> Iterator[Folder]:
    """Hold the gallery's lock, and its folder, for a change; GalleryError names who has it after
    ten seconds."""
    try:
        with (
            Folder(path.parent, create=True) as folder,
            folder.locked(path.name, LOCK_TIMEOUT),
        ):
            if path.is_symlink():
                raise linked(path)
            folder.sweep(path.name)
            yield folder
    except InUse as error:
        raise GalleryError(
            f"the gallery {path} is {error.args[0]}; try again when that has ended"
        ) from None
    except OSError as error:
        raise _unwritable(path, error) from None


def load_for_change(folder: Folder, path: Path, key: bytes | None) -> Loaded:
    """As `load`, for the holder of the lock."""
    try:
        return Loaded(read_contents(path, key, folder))
    except (FileNotFoundError, DamagedGallery):
        if folder.exists(previous_of(path).name):
            return _restore(folder, path, key)
        return _without_previous(folder, path, key)


def commit(
    folder: Folder, path: Path, contents: Contents, key: bytes | None, *, forget: bool = False
) -> None:
    """Make `contents` the gallery at `path` (0600); the holder of the lock calls it.

    The generation that was there becomes the previous one; `forget` writes the new one in its
    place too, so that nothing removed can come back. Raises GalleryError with the old gallery
    unchanged when the folder or the disk does not take it.
    """
    try:
        if forget:
            _replace_both(folder, path, contents, key)
        else:
            _replace(folder, path, contents, key)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        folder.sync()
    except OSError as error:
        raise GalleryError(
            f"the gallery {path} was changed, but the disk does not confirm that it will last "
            f"({error.strerror}); check the disk and repeat the command"
        ) from None


def bring_back(
    folder: Folder, path: Path, contents: Contents, key: bytes | None, above: int = 0
) -> Contents:
    """Make contents of another file the gallery at `path`; the holder of the lock calls it.

    Returns them with the number of a change far above all others here and `above`, so that a
    service takes them, whatever it has seen. A good gallery becomes the previous generation,
    another is put aside as damaged. Raises GalleryError with the old gallery unchanged.
    """
    newest = max(contents.generation, above)
    good = False
    for file in (previous_of(path), path):
        try:
            newest = max(newest, read_contents(file, key, folder).generation)
            good = file == path
        except (FileNotFoundError, GalleryError):
            pass  # what is there is no hindrance
    contents = replace(contents, generation=newest + FAR_ABOVE)
    if good:
        commit(folder, path, contents, key)
        return contents
    try:
        _put_back(folder, path, contents, key)
    except OSError as error:
        raise _unwritable(path, error) from None
    return contents


def _replace(folder: Folder, path: Path, contents: Contents, key: bytes | None) -> None:
    new = _written(folder, path, contents, key)
    try:
        if folder.exists(path.name):
            _keep(folder, path.name, previous_of(path).name)
        folder.replace(new, path.name)
    finally:
        folder.remove(new)


def _replace_both(folder: Folder, path: Path, contents: Contents, key: bytes | None) -> None:
    previous = previous_of(path)
    waiting: list[str] = []
    try:
        for place in (path, previous):
            waiting.append(_written(folder, place, contents, key))
        folder.replace(waiting[1], previous.name)
        folder.remove(damaged_of(path).name)
        folder.replace(waiting[0], path.name)
        return
    except OSError as error:
        if error.errno not in _FULL:
            raise
    finally:
        for left in waiting:
            folder.remove(left)
    _replace_without_room(folder, path, contents, key)


def _replace_without_room(
    folder: Folder, path: Path, contents: Contents, key: bytes | None
) -> None:
    """On a full disk: what has to go in any case makes room for what stays.

    Where that is not enough the file itself is written again, as long as it grows no larger and
    whoever reads it has a copy: a power cut in that moment leaves a gallery that is refused.
    """
    for old in (damaged_of(path), previous_of(path)):
        folder.remove(old.name)
    try:
        new = _written(folder, path, contents, key)
    except OSError as error:
        data = b"".join(to_chunks(contents, key))
        if error.errno not in _FULL or not len(data) <= folder.stat(path.name).st_size < READ_WHOLE:
            raise
        folder.overwrite(path.name, [data])
        _read_back(folder, path, path.name, key)
        return
    try:
        folder.replace(new, path.name)
    finally:
        folder.remove(new)


def _written(folder: Folder, path: Path, contents: Contents, key: bytes | None) -> str:
    """The name of a temporary file with the contents, which has been read back."""
    new = folder.write(path.name, to_chunks(contents, key))
    try:
        _read_back(folder, path, new, key)
    except BaseException:
        folder.remove(new)
        raise
    return new


def _read_back(folder: Folder, path: Path, name: str, key: bytes | None) -> None:
    try:
        read_contents(path.with_name(name), key, folder)
    except GalleryError as error:
        raise GalleryError(
            f"the gallery {path} was not changed: what was written for it cannot be read back "
            f"({error}); check the disk"
        ) from None


def _keep(folder: Folder, name: str, other: str) -> None:
    """Give the file `name` a second name, `other`, in one step and without copying it."""
    link = unfinished(name, "link")
    folder.remove(link)
    try:
        folder.link(name, link)
    except OSError:  # a file system without links, such as FAT
        with os.fdopen(folder.open(name), "rb") as file:
            link = folder.write(name, [file.read()])
    folder.replace(link, other)
    folder.remove(link)  # it stays where both already were one file


def _restore(folder: Folder, path: Path, key: bytes | None, *, write: bool = True) -> Loaded:
    """The previous generation, brought back unless `path` turns out to be good by now.

    Its number then lies above that of the lost one, as after any change.
    """
    try:
        return Loaded(read_contents(path, key, folder))
    except FileNotFoundError:
        problem = f"the gallery {path} is missing"
    except DamagedGallery as error:
        problem = str(error)
    previous = previous_of(path)
    try:
        contents = read_contents(previous, key, folder)
    except (FileNotFoundError, DamagedGallery):
        raise DamagedGallery(
            f"{problem} and its last generation {previous} too; restore one from a backup with: "
            "edgeface gallery restore FILE, or move both away and enroll again"
        ) from None
    sentence = (
        f"{problem}; its last generation ({contents.generation}, {len(contents.counts)} people) "
        "took its place: what was changed since is lost, so look with: edgeface list"
    )
    contents = replace(contents, generation=contents.generation + 2)
    try:
        if write:
            _put_back(folder, path, contents, key)
        else:
            sentence += " (it could not be written back)"
    except OSError as error:
        sentence += f" (it could not be written back: {error.strerror})"
    import logging  # hardly ever needed

    logging.getLogger("edgeface.gallery").error("%s", sentence)
    return Loaded(contents, sentence)


def _put_back(folder: Folder, path: Path, contents: Contents, key: bytes | None) -> None:
    """Write the gallery again, with the damaged one kept aside where the disk still gives it."""
    new = _written(folder, path, contents, key)
    try:
        with suppress(OSError):
            _keep(folder, path.name, damaged_of(path).name)
        folder.replace(new, path.name)
    finally:
        folder.remove(new)
    folder.sync()


def _without_previous(folder: Folder, path: Path, key: bytes | None) -> Loaded:
    try:
        return Loaded(read_contents(path, key, folder))
    except FileNotFoundError:
        return Loaded(None)
    except DamagedGallery as error:
        raise DamagedGallery(
            f"{error} and it has no earlier generation; restore it from a backup with: edgeface "
            "gallery restore FILE, or move it away and enroll again"
        ) from None


def _unwritable(path: Path, error: OSError) -> GalleryError:
    if error.errno == errno.EBUSY:
        return GalleryError(
            f"cannot write the gallery {path}: it is mounted as a single file, which cannot be "
            f"replaced; mount the folder {path.parent} instead"
        )
    return GalleryError(
        f"cannot write the gallery {path}: {error.strerror}; the old one is unchanged"
    )
