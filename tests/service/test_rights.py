"""Two rights: who may ask, and who may administer, told apart by the socket and by the kernel."""

from __future__ import annotations

import grp
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeface.service.audit import read_audit
from edgeface.service.peers import own_peer, peer_of
from tests.helpers.service import PORTRAITS, Running, portrait_video

STRANGER = 65534  # a user
_ASK = """
import json, os, socket, sys
os.setgroups([int(sys.argv[4])])
os.setresgid(*3 * [int(sys.argv[3])])
os.setresuid(*3 * [int(sys.argv[3])])
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    connection.sendall(sys.argv[2].encode() + b"\\n")
    print(connection.makefile().read())
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")


@pytest.fixture
def service() -> Iterator[Running]:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)  # pytest's own are closed to other users
    video = portrait_video(folder / "live.avi", "obama2")
    settings = f'[source]\nspec = "{video}"\npace = "own"\nloop = true\nfps = 20.0\n'
    try:
        with Running(folder, settings).ready() as running:
            yield running
            assert running.stop() == 0
    finally:
        shutil.rmtree(folder)


def ask_as(
    user: int, path: Path, *, group: int = STRANGER, **request: object
) -> list[dict[str, object]]:
    """What a user in one more `group` is answered; [] if he cannot connect, or is dropped."""
    os.chmod(path, 0o666)  # noqa: S103 (the rights must not hang on its mode alone)
    done = subprocess.run(
        [sys.executable, "-c", _ASK, str(path), json.dumps(request), str(user), str(group)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line]


@as_root
def test_a_stranger_at_either_socket_enrolls_removes_and_lists_nobody(service: Running) -> None:
    assert service.command("enroll", "ada", str(PORTRAITS / "biden.jpg")).returncode == 0
    for path in (service.socket, service.admin_socket):
        for command in ("enroll", "remove", "list", "reload"):
            (answer,) = ask_as(STRANGER, path, command=command, name="ada")
            assert "is for administrators" in str(answer["error"])
    records, problems = read_audit(service.gallery.with_name("audit.jsonl"))
    assert [(record.uid, record.outcome) for record in records] == [(STRANGER, "refused")] * 8
    assert problems == []
    assert service.ask(command="list")[0]["people"][0]["name"] == "ada"


@as_root
def test_even_root_administers_on_the_socket_for_it_alone(service: Running) -> None:
    (answer,) = service.ask_on(service.socket, command="enroll", name="ada")
    assert "is for administrators" in answer["error"]


@as_root
def test_behind_a_gate_the_audit_log_names_who_administers(service: Running) -> None:
    """As under systemd, where the service itself sees every user as nobody."""
    assert service.stop() == 0
    folder = service.settings.parent
    inner = folder / "gate.sock"
    settings = f'[source]\nspec = "{folder / "live.avi"}"\npace = "own"\nloop = true\n'
    with Running(folder, settings, admin_group="daemon", EDGEFACE_GATE=str(inner)) as gated:
        gated.until(inner.exists)
        assert inner.stat().st_mode & 0o777 == 0o600
        passing_on = ["service", "gate", "--config", str(gated.settings), "--to", str(inner)]
        gate = subprocess.Popen([sys.executable, "-m", "edgeface", *passing_on])
        try:
            gated.until(gated.admin_socket.exists)
            assert ask_as(STRANGER, gated.admin_socket, command="list") == []
            member = grp.getgrnam("daemon").gr_gid
            (answer,) = ask_as(STRANGER, gated.admin_socket, group=member, command="list")
            assert answer["people"] == []
            assert gated.ask(command="list")[0]["people"] == []
            # Nobody but the gate may name a peer, whatever the file's mode.
            assert ask_as(STRANGER, inner, pid=1, uid=0, gids=[0]) == []
        finally:
            gate.terminate()
            assert gate.wait(60) == 0
    records, problems = read_audit(gated.gallery.with_name("audit.jsonl"))
    assert [record.uid for record in records] == [STRANGER, os.geteuid()]
    assert problems == []


def test_list_and_remove_through_the_service_take_effect_at_once(service: Running) -> None:
    assert service.command("enroll", "ada", str(PORTRAITS / "obama.jpg")).returncode == 0
    service.until(lambda: service.of("recognized"))
    listed = service.command("list", "--service", "--json")
    assert [person["name"] for person in json.loads(listed.stdout)["people"]] == ["ada"]
    removed = service.command("remove", "ada", "--service", "--json")
    assert json.loads(removed.stdout) == {"name": "ada", "templates": 1, "people": []}
    at = len(service.events)
    service.until(lambda: len(service.of("unknown")) > 0 and service.of("person_removed"))
    assert not [event for event in service.events[at:] if event["type"] == "recognized"]
    (event,) = service.of("person_removed")
    assert event["name"] == "ada"
    assert f"by {own_peer().user}" in event["message"]
    audit = service.command(
        "audit", "--file", str(service.gallery.with_name("audit.jsonl")), "--json"
    )
    assert audit.returncode == 0
    record = json.loads(audit.stdout)["records"][-1]
    assert (record["command"], record["name"], record["uid"]) == ("remove", "ada", os.geteuid())


def test_removing_somebody_who_is_being_verified_does_not_end_the_service(service: Running) -> None:
    assert service.command("enroll", "joe", str(PORTRAITS / "biden.jpg")).returncode == 0
    service.until(lambda: service.ask(command="status")[0]["people"] == 1)
    with socket.socket(socket.AF_UNIX) as verifying:
        verifying.connect(str(service.socket))
        verifying.sendall(b'{"command": "verify", "name": "joe", "within": 300}\n')
        frames = service.ask(command="status")[0]["frames"]
        service.until(lambda: service.ask(command="status")[0]["frames"] > frames + 3)
        assert service.command("remove", "joe").returncode == 0
        answer = json.loads(verifying.makefile().readline())
    assert "joe" in answer["error"]
    assert service.ask(command="status")[0]["people"] == 0


def test_the_kernel_says_who_the_peer_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = peer_of(ours)
    assert (peer.pid, peer.uid) == (os.getpid(), os.getuid())
    assert {os.getgid(), *os.getgroups()} == peer.gids
    assert peer.may_administer("a group that nobody has made")  # the service's own user
