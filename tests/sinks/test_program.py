"""A program of the owner's gets each event on stdin, and cannot hold anything up."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from edgeface.sinks import Outlet
from edgeface.sinks.program import Program
from edgeface.sinks.settings import ExecSettings as Settings
from edgeface.system.units import Seconds
from tests.helpers.sinks import Clock, event, wait_until


def script(tmp_path: Path, body: str) -> str:
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def run(settings: Settings, *names: str) -> Outlet:
    outlet = Outlet(lambda: Program(settings), "exec", settings.events, 10)
    for name in names:
        outlet.put(event(name=name))
    wait_until(lambda: outlet.delivered + outlet.lost == len(names), 20)
    outlet.close()
    return outlet


def test_the_event_comes_on_stdin_and_arguments_are_no_shell_text(tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = script(tmp_path, f'cat >> {out}; printf "%s\\n" "$1" >> {out}')
    run(Settings(command=(program, "$(touch /tmp/never); *")), "ada", "bob")
    lines = out.read_text().splitlines()
    assert [json.loads(lines[i])["name"] for i in (0, 2)] == ["ada", "bob"]
    assert lines[1] == "$(touch /tmp/never); *"


def test_a_program_gets_no_event_that_is_late(tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = Settings(command=(script(tmp_path, f"cat >> {out}"),))
    clock = Clock()
    outlet = Outlet(lambda: Program(settings), "exec", settings.events, 10, clock=clock)
    outlet.put(event(name="late"), seen=clock.now - 3.1)
    outlet.put(event(name="ada"))
    wait_until(lambda: outlet.delivered + outlet.lost == 2)
    outlet.close()
    assert [json.loads(line)["name"] for line in out.read_text().splitlines()] == ["ada"]


def test_a_program_inherits_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/edgeface.service")
    monkeypatch.setenv("EDGEFACE_GALLERY_KEY", "00" * 32)
    monkeypatch.setenv("EDGEFACE_GALLERY_KEY_FILE", "/a/key")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("SOME_TOKEN", "abc")
    monkeypatch.setenv("LANG", "de_CH.UTF-8")
    run(Settings(command=(script(tmp_path, f"env > {out}"),)), "ada")
    names = {line.partition("=")[0] for line in out.read_text().splitlines()}
    assert {"PATH", "LANG"} <= names
    assert names <= {
        *("PATH", "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LOGNAME", "TZ", "USER"),
        *("PWD", "SHLVL", "_", "OLDPWD"),  # the shell's own
    }


def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    program = script(tmp_path, f"(sleep 2; touch {mark}) & sleep 60")
    run(Settings(command=(program,), timeout=Seconds(0.3)), "ada")
    time.sleep(2.2)
    assert not mark.exists()


def test_a_program_that_is_missing_or_fails_or_reads_nothing_loses_only_its_event(
    tmp_path: Path,
) -> None:
    missing = run(Settings(command=("/nowhere/program",)), "ada", "bob")
    assert (missing.delivered, missing.lost) == (0, 2)
    assert missing.trouble == (
        "cannot run /nowhere/program (No such file or directory); check [exec] command"
    )
    failed = run(Settings(command=(script(tmp_path, "exit 3"),)), "ada", "bob")
    assert (failed.delivered, failed.lost) == (0, 2)
    assert "ended with status 3" in (failed.trouble or "")
