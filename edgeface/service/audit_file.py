"""Audit file: how the audit log lies on the disk, its lines and its head.

Takes in and hands on bytes. The log has one record a line, each with the hash of the line before.
The head, FILE.head beside it, says how many records there are and what the newest one's hash is,
so that a removed end is found, too. It decides nothing.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgeface.system.storage import open_regular, write_atomically

_LONGEST_LINE = 8192  # bytes


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One administrative act. `chain` is the SHA-256 of the line before, "" in the first.

    `kept_s` is for how many seconds a running service had kept the log by then, which no wall
    clock changes. Records of earlier versions have neither that nor a number.
    """

    time: str  # UTC, RFC 3339
    uid: int
    user: str | None
    pid: int
    command: str
    name: str | None
    outcome: str  # "done", "refused" or "failed"
    detail: str | None
    chain: str
    number: int = 0  # from 1
    kept_s: float = 0.0


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of the oldest record that is kept and of the newest, and the newest's hash.

    The log may be one record further, and hold older ones: the head is written after a record was
    added and before records are dropped.
    """

    first: int = 1
    number: int = 0
    hash: str = ""
    kept_s: float = 0.0

    @property
    def records(self) -> int:
        """How many records there are at least."""
        return self.number - self.first + 1


DAMAGED = Head(number=-1)
"""What stands for a head that is none."""


def head_of(path: Path) -> Path:
    """Where the head of the log at `path` is."""
    return path.with_name(f"{path.name}.head")


def read_head(path: Path) -> Head | None:
    """The head of the log at `path`, None if it has none, DAMAGED if that is no head. Raises
    OSError."""
    try:
        handle = open_regular(head_of(path))
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as file:
        try:
            return msgspec.json.decode(file.read(_LONGEST_LINE), type=Head)
        except (msgspec.MsgspecError, ValueError):
            return DAMAGED


def write_head(path: Path, head: Head) -> None:
    """Write the head of the log at `path`, for good. Raises OSError."""
    write_atomically(head_of(path), [msgspec.json.encode(head)])


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines, oldest first; none where there is no file. Raises OSError."""
    try:
        handle = open_regular(path)
    except FileNotFoundError:
        return
    with os.fdopen(handle, "rb") as file:
        while line := file.readline(_LONGEST_LINE):
            yield line.removesuffix(b"\n")


def append_line(path: Path, line: bytes) -> None:
    """Add a line, on the disk when this returns; OSError leaves no part of it behind."""
    handle = _open_for_adding(path)
    try:
        size = os.fstat(handle).st_size
        try:
            whole = line + b"\n"
            if os.write(handle, whole) != len(whole):
                raise OSError("the disk does not take the whole record")
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)


def drop_torn_line(path: Path) -> bool:
    """Remove what a power cut left of a record that nobody was answered yet; whether there was
    any. Raises OSError."""
    if not path.exists():
        return False
    with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - _LONGEST_LINE))
        tail = file.read()
        if not tail or tail.endswith(b"\n"):
            return False
        file.truncate(start + tail.rfind(b"\n") + 1)
        os.fsync(file.fileno())
    return True


def record_in(line: bytes) -> AuditRecord | None:
    """The record that a line holds, None if it is none."""
    try:
        return msgspec.json.decode(line, type=AuditRecord)
    except (msgspec.MsgspecError, ValueError):
        return None


def hash_of(line: bytes) -> str:
    """The SHA-256 of a line, in hexadecimal digits."""
    return hashlib.sha256(line).hexdigest()


def _open_for_adding(path: Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(path, flags, 0o600)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError("it is not a file")
    return handle
