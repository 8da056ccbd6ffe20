"""Audit: the append-only record of who changed what through the service.

Takes in who asked for an administrative command and how it ended, and adds one JSON line to a file
of mode 0600. Each line holds the hash of the one before, so that a changed or missing line in the
middle is found. Lines leave only from the old end, by age. It holds names and user numbers, never
an embedding, a picture or a secret.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import dropwhile
from pathlib import Path

import msgspec

from edgeface.errors import ConfigError
from edgeface.service.peers import Peer
from edgeface.system.storage import write_atomically

_log = logging.getLogger("edgeface.audit")
_LONGEST_LINE = 8192  # bytes
_BETWEEN_PRUNINGS = 86400.0  # seconds


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One administrative act. `chain` is the SHA-256 of the line before, "" in the first."""

    time: str  # UTC, RFC 3339
    uid: int
    user: str | None
    pid: int
    command: str
    name: str | None
    outcome: str  # "done", "refused" or "failed"
    detail: str | None
    chain: str


class AuditLog:
    """An audit file that is open for adding. Raises ConfigError if it cannot be written."""

    def __init__(self, path: Path, age: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`age` is how many seconds a record is kept."""
        self.path, self._age, self._clock = path, age, clock
        self._pruned = clock()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._prune()
            self._chain = self._last_hash()
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot keep the audit log {path} ({error})") from None

    def add(
        self, peer: Peer, command: str, name: str | None, outcome: str, detail: str | None = None
    ) -> None:
        """Add a record, on the disk when this returns. Raises ConfigError if that fails."""
        record = AuditRecord(
            time=_now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            uid=peer.uid,
            user=peer.user,
            pid=peer.pid,
            command=command,
            name=name,
            outcome=outcome,
            detail=detail,
            chain=self._chain,
        )
        line = msgspec.json.encode(record)
        try:
            if self._clock() - self._pruned > _BETWEEN_PRUNINGS:
                self._prune()
            self._append(line)
        except OSError as error:
            raise ConfigError(f"cannot write the audit log {self.path} ({error})") from None
        self._chain = _hash(line)
        _log.info("%s: %s %s %s", peer, command, name or "", outcome)

    def _append(self, line: bytes) -> None:
        handle = os.open(
            self.path,
            os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o600,
        )
        with os.fdopen(handle, "wb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError("it is not a file")
            file.write(line + b"\n")
            os.fsync(handle)

    def _prune(self) -> None:
        """Drop what is older than the age from the front; a file without such lines stays as it
        is."""
        self._pruned = self._clock()
        oldest = (_now() - timedelta(seconds=self._age)).isoformat()
        lines = list(_lines(self.path))
        kept = list(dropwhile(lambda line: _older(line, oldest), lines))
        if len(kept) < len(lines):
            write_atomically(self.path, [line + b"\n" for line in kept])

    def _last_hash(self) -> str:
        last = b""
        for line in _lines(self.path):
            last = line
        return _hash(last) if last else ""


def read_audit(path: Path) -> tuple[list[AuditRecord], list[str]]:
    """All records, oldest first, and a sentence for each place where the chain is broken.

    Raises ConfigError if the file cannot be read; a missing one holds no records.
    """
    records: list[AuditRecord] = []
    problems: list[str] = []
    before = None
    try:
        for number, line in enumerate(_lines(path), 1):
            record = _decode(line)
            if record is None:
                problems.append(f"line {number} is no record")
            else:
                if before is not None and record.chain != _hash(before):
                    problems.append(f"what stood before line {number} was changed or removed")
                records.append(record)
            before = line
    except OSError as error:
        raise ConfigError(f"cannot read the audit log {path} ({error.strerror or error})") from None
    return records, problems


def _lines(path: Path) -> Iterator[bytes]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("it is not a file")
        while line := file.readline(_LONGEST_LINE):
            yield line.removesuffix(b"\n")


def _decode(line: bytes) -> AuditRecord | None:
    try:
        return msgspec.json.decode(line, type=AuditRecord)
    except (msgspec.MsgspecError, ValueError):
        return None


def _older(line: bytes, oldest: str) -> bool:
    record = _decode(line)
    return record is not None and record.time < oldest


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _now() -> datetime:
    return datetime.now(UTC)
