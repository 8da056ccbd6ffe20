"""Audit: the append-only record of who changed what through the service.

Takes in who asked for an administrative command and how it ended, and adds one JSON line to a file
of mode 0600. Each line holds the hash of the one before, and a head beside the file that of the
newest, so that a changed or missing line is found wherever it was; the journal has each hash, too.
Lines leave only from the old end, by age, which is counted while the service runs: no wall clock
that jumps makes a record old. It holds names and user numbers, never an embedding, a picture or a
secret.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

import msgspec

from edgeface.errors import ConfigError
from edgeface.service.audit_file import (
    DAMAGED,
    AuditRecord,
    Head,
    append_line,
    drop_torn_line,
    hash_of,
    head_of,
    lines_of,
    read_head,
    record_in,
    write_head,
)
from edgeface.service.peers import Peer, own_peer
from edgeface.system.closing import Closing
from edgeface.system.storage import write_atomically

_log = logging.getLogger("edgeface.audit")
_BETWEEN_PRUNINGS = 3600.0  # seconds
_ITSELF = "audit"  # the command of a record about the log


class AuditLog(Closing):
    """An audit file that is open for adding. Raises ConfigError if it cannot be written."""

    def __init__(self, path: Path, age: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`age` is how many seconds of a running service a record is kept; `clock` counts them."""
        self.path, self._age, self._clock = path, age, clock
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if drop_torn_line(path):
                _log.warning("%s ended in half a record, which is gone", path)
            self._head, trouble = _head_to_go_on_from(path)
            self._counted = self._looked = clock()
            self._prune()
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot keep the audit log {path} ({error})") from None
        if trouble:
            _log.error("the audit log %s: %s", path, trouble)
            self.add(own_peer(), _ITSELF, None, "failed", trouble)

    def add(
        self, peer: Peer, command: str, name: str | None, outcome: str, detail: str | None = None
    ) -> None:
        """Add a record, on the disk when this returns. Raises ConfigError if that fails."""
        self.work()
        head = self._head
        record = AuditRecord(
            time=_now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            uid=peer.uid,
            user=peer.user,
            pid=peer.pid,
            command=command,
            name=name,
            outcome=outcome,
            detail=detail,
            chain=head.hash,
            number=head.number + 1,
            kept_s=round(self._kept, 1),
        )
        line = msgspec.json.encode(record)
        after = Head(
            first=head.first, number=record.number, hash=hash_of(line), kept_s=record.kept_s
        )
        try:
            append_line(self.path, line)
            self._head, self._counted = after, self._clock()
            write_head(self.path, after)
        except OSError as error:
            raise ConfigError(f"cannot write the audit log {self.path} ({error})") from None
        # The journal belongs to root: what is written there the service's user cannot take back.
        _log.info(
            "record %d (%s): %s: %s %s %s",
            record.number,
            after.hash,
            peer,
            command,
            name or "",
            outcome,
        )

    def work(self) -> None:
        """Do what is due: note how long the log has been kept, and drop what has become too old."""
        if self._clock() - self._looked >= _BETWEEN_PRUNINGS:
            self._note_and_prune()

    def close(self) -> None:
        """Note how long the log has been kept."""
        self._note_and_prune()

    @property
    def _kept(self) -> float:
        """Seconds for which a running service has kept the log."""
        return self._head.kept_s + max(0.0, self._clock() - self._counted)

    def _note_and_prune(self) -> None:
        self._looked = self._clock()
        try:
            self._prune()
        except OSError as error:
            _log.error("cannot write the audit log %s (%s)", self.path, error)

    def _prune(self) -> None:
        """Drop what is older than the age from the front, but never the newest record."""
        kept = self._kept
        lines = list(lines_of(self.path))
        old = len(list(takewhile(lambda line: _older(line, kept - self._age), lines[:-1])))
        head = msgspec.structs.replace(self._head, kept_s=kept)
        if old:
            following = record_in(lines[old])
            first = following.number if following is not None else 0
            head = msgspec.structs.replace(head, first=first or head.first + old)
        if lines or head != Head(kept_s=kept):
            write_head(self.path, head)
        self._head, self._counted = head, self._clock()
        if old:
            write_atomically(self.path, [line + b"\n" for line in lines[old:]])


def read_audit(path: Path, anchor: str | None = None) -> tuple[list[AuditRecord], list[str]]:
    """All records, oldest first, and a sentence for each place where something was changed or
    removed; `anchor` is the hash of a record that was noted elsewhere and must be there.

    Raises ConfigError if the file cannot be read; a missing one holds no records.
    """
    records: list[AuditRecord] = []
    problems: list[str] = []
    hashes: list[str] = []
    try:
        head = read_head(path)  # before the lines, to which the service may add one now
        for number, line in enumerate(lines_of(path), 1):
            record = record_in(line)
            if record is None:
                problems.append(f"line {number} is no record")
            else:
                if hashes and record.chain != hashes[-1]:
                    problems.append(f"what stood before line {number} was changed or removed")
                if record.command == _ITSELF:
                    problems.append(f"line {number}, {record.time}: {record.detail}")
                records.append(record)
            hashes.append(hash_of(line))
    except OSError as error:
        raise ConfigError(f"cannot read the audit log {path} ({error.strerror or error})") from None
    if trouble := _trouble(path, head, records, hashes) or _too_few(head, hashes):
        problems.append(trouble)
    if anchor is not None and anchor not in hashes:
        problems.append(f"the record {anchor} is not there: it was changed or removed")
    return records, problems


def _trouble(
    path: Path, head: Head | None, records: list[AuditRecord], hashes: list[str]
) -> str | None:
    """Why the newest records may be missing; None where they are not."""
    if head is None:
        if not any(record.number for record in records):
            return None  # of an earlier version, or there is nothing yet
        return f"{head_of(path)} is missing, so that nobody knows whether the end was removed"
    if head is DAMAGED:
        return f"{head_of(path)} is damaged, so that nobody knows whether the end was removed"
    if head.hash and head.hash not in hashes:
        return f"the end was removed: record {head.number}, the newest, is not there"
    return None


def _too_few(head: Head | None, hashes: list[str]) -> str | None:
    """That records are missing somewhere before the newest, if they are."""
    there = _place(head.hash, hashes) if head is not None else 0
    if head is None or there >= head.records:
        return None
    return f"of {head.records} records {there} are left: some were removed"


def _place(digest: str, hashes: list[str]) -> int:
    """How many records there are up to the one of this hash; 0 for the hash of none."""
    return hashes.index(digest) + 1 if digest else 0


def _head_to_go_on_from(path: Path) -> tuple[Head, str | None]:
    """The head that the next record follows, and what is wrong with the file's end, if anything.

    Where the end was removed, the next record follows the one that is missing: the gap stays.
    """
    lines = list(lines_of(path))
    records = [record for line in lines if (record := record_in(line)) is not None]
    hashes = [hash_of(line) for line in lines]
    head = read_head(path)
    trouble = _trouble(path, head, records, hashes)
    last = hashes[-1] if hashes else ""
    if head is None or head is DAMAGED:
        number = max([len(lines), *(record.number for record in records)])
        kept = max([0.0, *(record.kept_s for record in records)])
        return Head(first=number - len(lines) + 1, number=number, hash=last, kept_s=kept), trouble
    if trouble is None:  # where a power cut came between a record and its head, it is one behind
        behind = len(hashes) - _place(head.hash, hashes)
        head = msgspec.structs.replace(head, number=head.number + behind, hash=last)
    return head, trouble


def _older(line: bytes, oldest: float) -> bool:
    record = record_in(line)
    return record is not None and record.kept_s < oldest


def _now() -> datetime:
    return datetime.now(UTC)
