"""The audit log: only added to, whole or found broken, and never elsewhere than it should be."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgeface.cli import main
from edgeface.service import audit
from edgeface.service.audit import AuditLog, read_audit
from edgeface.service.audit_file import head_of
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


class Clock:
    """Seconds that a service has run."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _log(path: Path, *names: str, clock: Clock | None = None) -> AuditLog:
    log = AuditLog(path, 86400, clock or Clock())
    for name in names:
        log.add(own_peer(), "enroll", name, "done")
    return log


def _names(path: Path) -> list[str | None]:
    records, problems = read_audit(path)
    assert problems == []
    return [record.name for record in records]


def test_records_leave_by_age_and_only_from_the_old_end(tmp_path: Path) -> None:
    path, clock = tmp_path / "audit.jsonl", Clock()
    log = _log(path, "ada", clock=clock)
    clock.now = 80000
    log.add(own_peer(), "enroll", "bob", "done")
    log.close()
    clock.now = 0  # a restart
    log = _log(path, "cy", clock=clock)
    assert _names(path) == ["ada", "bob", "cy"]
    clock.now = 7000
    log.work()
    assert _names(path) == ["bob", "cy"]
    clock.now = 200_000
    log.work()
    assert _names(path) == ["cy"]  # the newest stays, and what follows is tied to it
    log.add(own_peer(), "enroll", "dee", "done")
    assert _names(path) == ["cy", "dee"]


def test_a_busy_log_is_pruned_and_a_full_disk_is_said_once_an_hour(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clock = tmp_path / "audit.jsonl", Clock()
    log = _log(path, "ada", clock=clock)
    for clock.now in range(600, 100_000, 600):
        log.add(own_peer(), "list", None, "done")
    assert read_audit(path)[0][0].kept_s >= 100_000 - 86400 - 3600 - 600
    assert read_audit(path)[1] == []

    def full(*anything: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(audit, "write_head", full)
    caplog.clear()
    for clock.now in range(200_000, 207_000):
        log.work()
    assert len(caplog.messages) == 2


def test_a_wall_clock_that_jumps_makes_no_record_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clock = tmp_path / "audit.jsonl", Clock()
    log = _log(path, "ada", "bob", clock=clock)
    monkeypatch.setattr(audit, "_now", lambda: datetime(2099, 1, 1, tzinfo=UTC))
    clock.now = 7200
    log.work()
    log.add(own_peer(), "enroll", "cy", "done")
    _log(path, "dee")  # after a restart, too
    assert _names(path) == ["ada", "bob", "cy", "dee"]


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_removed_end_is_found_and_stays_so(
    tmp_path: Path, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    _log(path, "ada", "bob", "cy")
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:left]))
    assert "record 3, the newest, is not there" in call(main, "audit", "--file", path).stderr
    monkeypatch.setenv("EDGEFACE_GALLERY", str(tmp_path / "gallery.safetensors"))
    checks = json.loads(call(main, "doctor", "--json").stdout)["checks"]
    found = next(check for check in checks if check["name"] == "audit")
    assert not found["ok"]
    assert "record 3" in found["detail"]
    _log(path, "dee")  # the service goes on, and the gap is still there
    assert call(main, "audit", "--file", path).status == 1
    assert any("the end was removed" in problem for problem in read_audit(path)[1])


def test_an_end_that_goes_with_its_head_is_found_by_the_hash_in_the_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "audit.jsonl"
    _log(path, "ada")
    before = path.read_bytes(), head_of(path).read_bytes()
    with caplog.at_level("INFO", "edgeface.audit"):
        _log(path, "bob")
    anchor = caplog.messages[-1].partition("(")[2].partition(")")[0]
    assert call(main, "audit", "--file", path, "--anchor", anchor).status == 0
    path.write_bytes(before[0])
    head_of(path).write_bytes(before[1])
    assert call(main, "audit", "--file", path).status == 0
    done = call(main, "audit", "--file", path, "--anchor", anchor)
    assert done.status == 1
    assert f"the record {anchor} is not there" in done.stderr


def test_a_log_without_its_head_and_one_without_its_beginning_are_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    _log(path, "ada", "bob", "cy")
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[1:]))
    assert read_audit(path)[1] == ["of 3 records 2 are left: some were removed"]
    for content in (None, b"{"):
        head_of(path).unlink()
        if content is not None:
            head_of(path).write_bytes(content)
        assert "whether the end was removed" in read_audit(path)[1][0]
        _log(path, "dee")
        assert "whether the end was removed" in read_audit(path)[1][0]


def test_what_a_power_cut_leaves_is_no_alarm(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    _log(path, "ada")
    head = head_of(path).read_bytes()
    _log(path, "bob")
    head_of(path).write_bytes(head)  # it came before the head was written
    assert _names(path) == ["ada", "bob"]
    _log(path, "cy")
    with path.open("ab") as file:  # it came while the record was
        file.write(b'{"time":"2026-0')
    _log(path, "dee")
    assert _names(path) == ["ada", "bob", "cy", "dee"]


def test_a_log_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    path, chain = tmp_path / "audit.jsonl", ""
    with path.open("wb") as file:
        for name in ("ada", "bob"):
            record = {"time": "2026-01-01T00:00:00.000Z", "uid": 0, "user": "root", "pid": 1}
            record |= {"command": "enroll", "name": name, "outcome": "done", "detail": None}
            line = json.dumps(record | {"chain": chain}).encode()
            file.write(line + b"\n")
            chain = hashlib.sha256(line).hexdigest()
    assert _names(path) == ["ada", "bob"]
    _log(path, "cy")
    assert _names(path) == ["ada", "bob", "cy"]
    assert read_audit(path)[0][-1].number == 3


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
