"""The audit log: only added to, whole or found broken, and never elsewhere than it should be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeface.cli import main
from edgeface.service.audit import AuditLog, read_audit
from edgeface.service.peers import own_peer
from tests.helpers.command import call


def test_a_change_of_the_audit_log_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, 86400)
    for name in ("ada", "bob", "cy", "dee"):
        log.add(own_peer(), "enroll", name, "done")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_audit(path)[1] == []
    AuditLog(path, 86400).add(own_peer(), "remove", "ada", "done")  # after a restart
    assert read_audit(path)[1] == []
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))
    assert "was changed or removed" in read_audit(path)[1][0]
    path.write_bytes(lines[0].replace(b"ada", b"eve") + b"".join(lines[1:]))
    done = call(main, "audit", "--file", path)
    assert done.status == 1
    assert "line 2" in done.stderr


def test_records_leave_by_age_and_only_from_the_old_end(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, 86400)
    log.add(own_peer(), "enroll", "ada", "done")
    log.add(own_peer(), "enroll", "bob", "done")
    first, second = path.read_bytes().splitlines()
    old = json.loads(first) | {"time": "2020-01-01T00:00:00.000Z"}
    path.write_bytes(json.dumps(old).encode() + b"\n" + second + b"\n")
    AuditLog(path, 86400)
    records, problems = read_audit(path)
    assert [record.name for record in records] == ["bob"]
    assert problems == []


def test_an_audit_log_is_not_followed_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("")
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "passwd")
    done = call(main, "audit", "--file", tmp_path / "audit.jsonl")
    assert done.status == 2
    assert "cannot read the audit log" in done.stderr
    log = AuditLog(tmp_path / "fresh.jsonl", 86400)
    (tmp_path / "fresh.jsonl").symlink_to(tmp_path / "passwd")
    with pytest.raises(ValueError, match="cannot write the audit log"):
        log.add(own_peer(), "reload", None, "done")
    assert (tmp_path / "passwd").read_text() == ""
