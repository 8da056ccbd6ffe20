"""Storage: the one place that opens, writes, locks and removes files in folders of other people.

Takes in bytes and names, hands on descriptors. A `Folder` is held open, and each file is one of its
own entries: no symbolic link is followed, no device or pipe is opened, and what is given to another
user is given by the descriptor of a file made a moment ago. A new file is written beside the old
one, brought to the disk, and only then takes its name, so that a power cut leaves the old or the
new one. `locked` lets one process at a time change a file. It knows no file's format.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeface.system.closing import Closing

_LARGEST_WRITE = 1 << 20  # bytes in one write call, so that a full disk is noticed early
_PATIENCE = 0.005  # seconds between two tries for a lock
_UNFINISHED = ".unfinished"
_MOST_LINKS = 40  # on the way to a folder, as the kernel allows
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_WAY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_ENTRY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not keep who opens it waiting

Chunks = Iterable[bytes | memoryview]


class InUse(OSError):
    """Another process holds the lock; `pid` is its number, 0 if it is not known."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"in use by PID {pid}" if pid else "in use by another process")
        self.pid = pid


class Folder(Closing):
    """A folder that is held open; names are those of its own entries. Raises OSError throughout."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """`create` makes the folder (0700), and those above it, where they are missing."""
        self.path = path
        self._handle = _descend(path, create=create)

    def close(self) -> None:
        """Let go of the folder."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def names(self) -> list[str]:
        """The names of all entries."""
        return os.listdir(self._handle)

    def stat(self, name: str) -> os.stat_result:
        """What is known of an entry itself, wherever it may lead."""
        return os.stat(name, dir_fd=self._handle, follow_symlinks=False)

    def exists(self, name: str) -> bool:
        """Whether there is an entry of this name, of whatever kind."""
        try:
            self.stat(name)
        except FileNotFoundError:
            return False
        return True

    def own_stat(self) -> os.stat_result:
        """What is known of the folder."""
        return os.fstat(self._handle)

    def open(self, name: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of an ordinary file; OSError for a link, a pipe, a device, a folder."""
        return _only_regular(name, _open(name, flags | _ENTRY, self._handle))

    def write(self, name: str, chunks: Chunks, mode: int = 0o600) -> str:
        """Write `chunks` durably to a temporary file meant for `name` and return its name.

        Leaves nothing behind where it fails.
        """
        temporary = unfinished(name, secrets.token_hex(8))
        handle = self._create(temporary)
        try:
            try:
                for chunk in chunks:
                    view = memoryview(chunk)
                    if view.nbytes:
                        _write(handle, view.cast("B"))
                os.fchmod(handle, mode)
                self._give_away(handle, name)
                os.fsync(handle)
                # Read back from the disk, not from memory, should somebody look at it now.
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)
        except BaseException:
            self.remove(temporary)
            raise
        return temporary

    def overwrite(self, name: str, chunks: Chunks) -> None:
        """Write `chunks` into an ordinary file, which takes no new room where they are no longer.

        Not safe from a power cut: for a disk that is full, where nothing else is left.
        """
        handle = self.open(name, os.O_WRONLY)
        try:
            size = 0
            for chunk in chunks:
                view = memoryview(chunk).cast("B")
                _write(handle, view)
                size += view.nbytes
            os.ftruncate(handle, size)
            os.fsync(handle)
        finally:
            os.close(handle)

    def replace(self, old: str, new: str) -> None:
        """Give an entry another name; what had that name goes."""
        os.replace(old, new, src_dir_fd=self._handle, dst_dir_fd=self._handle)

    def link(self, old: str, new: str) -> None:
        """Give a file a second name; FileExistsError if that is taken."""
        os.link(old, new, src_dir_fd=self._handle, dst_dir_fd=self._handle, follow_symlinks=False)

    def remove(self, name: str) -> None:
        """Remove an entry, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._handle)

    def sync(self) -> None:
        """Bring the entries (new names, renames) to the disk."""
        os.fsync(self._handle)

    def sweep(self, name: str) -> None:
        """Delete what a killed writer of `name` left unfinished; the caller holds its lock."""
        for left in self.names():
            if left.startswith(f".{name}.") and left.endswith(_UNFINISHED):
                self.remove(left)

    @contextmanager
    def locked(self, name: str, timeout: float) -> Iterator[None]:
        """Hold the lock of `name` (the file `name`.lock, which stays); waits `timeout` seconds.

        The lock ends with the process that holds it, however that ends. Raises InUse when the time
        is over. It keeps processes apart and threads too.
        """
        handle = self._lock_file(f"{name}.lock")
        try:
            _wait_for_lock(handle, time.monotonic() + timeout)
            # Who holds it is good to know, but a full disk must not keep anybody from it.
            with contextlib.suppress(OSError):
                os.ftruncate(handle, os.pwrite(handle, f"{os.getpid()}\n".encode(), 0))
            yield
        finally:
            os.close(handle)

    def _lock_file(self, name: str) -> int:
        try:
            handle = self._create(name)
        except FileExistsError:
            return self._ours(name, self.open(name, os.O_RDWR))
        try:
            self._give_away(handle, name.removesuffix(".lock"))
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _ours(self, name: str, handle: int) -> int:
        """The descriptor, unless somebody put another file there for us to overwrite."""
        state = os.fstat(handle)
        if state.st_nlink != 1 or (
            os.geteuid() == 0
            and not self._roots_alone
            and state.st_uid not in (0, self.own_stat().st_uid)
        ):
            os.close(handle)
            raise OSError(errno.EPERM, f"{name} is also another file, or another user's; remove it")
        return handle

    @property
    def _roots_alone(self) -> bool:
        """Whether nobody but root can have put anything here."""
        state = self.own_stat()
        return state.st_uid == 0 and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)

    def _create(self, name: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _ENTRY
        return os.open(name, flags, 0o600, dir_fd=self._handle)

    def _give_away(self, handle: int, name: str) -> None:
        """What root writes belongs to whom the folder, else the file before, belongs: the service's
        user must still read it. `handle` is of a file that was made a moment ago."""
        if os.geteuid() != 0:
            return
        owner = self.own_stat()
        if self._roots_alone:
            with contextlib.suppress(FileNotFoundError):
                before = self.stat(name)
                owner = before if stat.S_ISREG(before.st_mode) else owner
        os.fchown(handle, owner.st_uid, owner.st_gid)


def write_atomically(path: Path, chunks: Chunks, mode: int = 0o600) -> None:
    """Replace the file at `path` by the joined `chunks`; creates its folder (0700) if missing.

    When it returns the new content survives a power cut; OSError leaves the old file intact and no
    temporary file behind.
    """
    with Folder(path.parent, create=True) as folder:
        new = folder.write(path.name, chunks, mode)
        try:
            folder.replace(new, path.name)
        except BaseException:
            folder.remove(new)
            raise
        folder.sync()


def write_new(path: Path, chunks: Chunks, mode: int = 0o600) -> None:
    """As `write_atomically`, but FileExistsError where there is anything at `path` already."""
    with Folder(path.parent, create=True) as folder:
        if folder.exists(path.name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        new = folder.write(path.name, chunks, mode)
        try:
            _take_free_name(folder, new, path.name)
        finally:
            folder.remove(new)
        folder.sync()


def _take_free_name(folder: Folder, new: str, name: str) -> None:
    try:
        folder.link(new, name)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, such as FAT
        if folder.exists(name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        folder.replace(new, name)


def open_regular(path: Path) -> int:
    """A descriptor to read an ordinary file; OSError for a link, a pipe, a device, a folder."""
    with Folder(path.parent) as folder:
        return folder.open(path.name)


@contextmanager
def locked(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock of `path` for its folder's entry, as `Folder.locked`; makes the folder."""
    with Folder(path.parent, create=True) as folder, folder.locked(path.name, timeout):
        yield


def unfinished(name: str, what: str) -> str:
    """A name for something on its way to `name`, which `sweep` deletes if it is left over."""
    return f".{name}.{what}{_UNFINISHED}"


def _descend(path: Path, *, create: bool) -> int:
    """A descriptor of the folder at `path`, reached one step after the other.

    Where root is on its way, it follows the links of root alone.
    """
    waiting = list(reversed(path.parts)) or ["."]
    handle = os.open(waiting.pop() if path.is_absolute() else ".", _WAY)
    links = 0
    try:
        while waiting:
            step = waiting.pop()
            state = _state(step, handle, create=create)
            if not stat.S_ISLNK(state.st_mode):
                handle = _swap(handle, os.open(step, _WAY | os.O_NOFOLLOW, dir_fd=handle))
                continue
            links += 1
            if links > _MOST_LINKS or (os.geteuid() == 0 and state.st_uid != 0):
                raise OSError(errno.ELOOP, f"{step} is a symbolic link of another user")
            target = Path(os.readlink(step, dir_fd=handle))
            waiting += reversed(target.parts)
            if target.is_absolute():
                handle = _swap(handle, os.open(waiting.pop(), _WAY))
        # Files in a folder whose names this user may not list can still be read.
        with contextlib.suppress(PermissionError):
            handle = _swap(handle, os.open(".", _FOLDER, dir_fd=handle))
    except BaseException:
        os.close(handle)
        raise
    return handle


def _state(step: str, handle: int, *, create: bool) -> os.stat_result:
    """The state of a folder's entry; with `create` it is made a folder if there is none."""
    try:
        return os.stat(step, dir_fd=handle, follow_symlinks=False)
    except FileNotFoundError:
        if not create:
            raise
    with contextlib.suppress(FileExistsError):  # another process may have been faster
        os.mkdir(step, 0o700, dir_fd=handle)
    return os.stat(step, dir_fd=handle, follow_symlinks=False)


def _swap(old: int, new: int) -> int:
    os.close(old)
    return new


def _open(name: str, flags: int, folder: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, f"{name} is a symbolic link") from None
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, f"{name} is no ordinary file") from None
        raise


def _only_regular(name: str, handle: int) -> int:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, f"{name} is no ordinary file")
    return handle


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
