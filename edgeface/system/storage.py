"""Storage: the one place that writes files so that a power cut leaves the old or the new one.

Takes in bytes and a path; hands on nothing. A new file is written beside the old one, brought to
the disk, and only then takes its name; after `write_atomically` returns, the new content survives
a power cut, and before it returns the old content does. `locked` lets one process at a time change
a file. It knows no file's format.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LARGEST_WRITE = 1 << 20  # bytes in one write call, so that a full disk is noticed early
_PATIENCE = 0.005  # seconds between two tries for a lock
_UNFINISHED = ".unfinished"


class InUse(OSError):
    """Another process holds the lock; `pid` is its number, 0 if it is not known."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"in use by PID {pid}" if pid else "in use by another process")
        self.pid = pid


def write_atomically(path: Path, chunks: Iterable[bytes | memoryview], mode: int = 0o600) -> None:
    """Replace the file at `path` by the joined `chunks`; creates its folder (0700) if missing.

    Raises OSError with the old file intact and no temporary file left behind.
    """
    new = write_beside(path, chunks, mode)
    try:
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_beside(path: Path, chunks: Iterable[bytes | memoryview], mode: int = 0o600) -> Path:
    """Write `chunks` durably to a temporary file in the folder of `path` and return its path.

    Creates the folder (0700) if missing. Raises OSError with nothing left behind.
    """
    import tempfile  # with all that it imports, which who only reads should not pay for

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_UNFINISHED, dir=path.parent)
    try:
        try:
            for chunk in chunks:
                view = memoryview(chunk)
                if view.nbytes:
                    _write(handle, view.cast("B"))
            os.fchmod(handle, mode)
            _give_away(handle, path)
            os.fsync(handle)
        finally:
            os.close(handle)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries (new names, renames) to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unfinished(path: Path, what: str) -> Path:
    """A name beside `path` for something that `sweep` deletes if it is left over."""
    return path.with_name(f".{path.name}.{what}{_UNFINISHED}")


def sweep(path: Path) -> None:
    """Delete what a killed writer of `path` left unfinished; the caller holds its lock."""
    for left in path.parent.glob(f".{path.name}.*{_UNFINISHED}"):
        left.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock of `path` (the file `path`.lock, which stays); waits `timeout` seconds.

    The lock ends with the process that holds it, however that ends. Raises InUse when the time is
    over and OSError where no lock file can be made. It keeps processes apart and threads too.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _give_away(handle, path)
        _wait_for_lock(handle, time.monotonic() + timeout)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _give_away(handle: int, path: Path) -> None:
    """What root writes belongs to whom the file, else its folder, belonged: the service's user must
    still read what `sudo edgeface enroll` has changed."""
    if os.geteuid() != 0:
        return
    try:
        owner = path.stat()
    except FileNotFoundError:
        owner = path.parent.stat()
    os.fchown(handle, owner.st_uid, owner.st_gid)


def _wait_for_lock(handle: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(handle, 20, 0).strip()
                raise InUse(int(holder) if holder.isdigit() else 0) from None
            time.sleep(_PATIENCE)


def _write(handle: int, view: memoryview) -> None:
    while view:
        view = view[os.write(handle, view[:_LARGEST_WRITE]) :]
