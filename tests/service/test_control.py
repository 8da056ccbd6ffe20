"""The control socket: useful to friends, unimpressed by everybody else."""

from __future__ import annotations

import json
import os
import random
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeface.errors import ConfigError
from edgeface.service.listening import listen
from tests.helpers.service import LONG, PORTRAITS, Running, portrait_video


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    video = portrait_video(tmp_path / "live.avi", "obama2")
    settings = (
        f'[source]\nspec = "{video}"\npace = "own"\nloop = true\nfps = 20.0\n'
        '[lockout]\nattempts = 2\nduration = "60 s"\n'
    )
    with Running(tmp_path, settings).ready() as running:
        yield running


def connect(service: Running, path: Path | None = None) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(LONG)
    connection.connect(str(path or service.socket))
    return connection


def answer(connection: socket.socket) -> bytes:
    """Everything until the service hangs up; b"" if it just drops us."""
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return data


def one_more_frame_than(frames: int, service: Running) -> int:
    """Wait until the loop has gone on; how many frames it has worked on then."""
    seen = frames

    def more() -> bool:
        nonlocal seen
        seen = service.ask(command="status")[0]["frames"]
        return seen > frames

    service.until(more)
    return seen


def malformed(count: int) -> Iterator[bytes]:
    """Wrong JSON, wrong types, huge, deep, binary: `count` of them, each another."""
    dice = random.Random(5)
    kinds = [
        lambda: b"{}\n",
        lambda: b'{"command": "reboot"}\n',
        lambda: b'{"command": "verify", "within": -1}\n',
        lambda: b'{"command": "verify", "within": 1e999, "name": "a"}\n',
        lambda: b'{"command": "verify", "name": 5}\n',
        lambda: b'{"command": "enroll", "name": "\\u0000"}\n',
        lambda: b'{"command": "verify", "name": "nobody"}\n',
        lambda: b'{"command": "status", "extra": 1}\n',
        lambda: b"[" * dice.randint(100, 4000) + b"\n",
        lambda: b"x" * dice.randint(5000, 200_000),
        lambda: dice.randbytes(dice.randint(1, 300)) + b"\n",
        lambda: b"\n",
        lambda: json.dumps({"command": "status"}).encode()[: dice.randint(1, 15)] + b"\n",
    ]
    for number in range(count):
        yield kinds[number % len(kinds)]()


def test_a_thousand_malformed_requests_are_answered_or_dropped_and_the_loop_goes_on(
    service: Running,
) -> None:
    refused = dropped = 0
    frames = service.ask(command="status")[0]["frames"]
    for number, request in enumerate(malformed(1000)):
        if number % 100 == 99:
            frames = one_more_frame_than(frames, service)
        with connect(service) as connection:
            try:
                connection.sendall(request)
            except ConnectionError:
                dropped += 1  # it did not listen to the end of something huge
                continue
            if number % 10 == 3:
                continue  # half-open: we leave without reading
            told = answer(connection)
            if told:
                assert "error" in json.loads(told.splitlines()[0]), (request[:80], told)
                refused += 1
            else:
                dropped += 1
    assert refused > 600


def test_slow_clients_are_dropped_and_do_not_lock_others_out(service: Running) -> None:
    slow = [connect(service) for _ in range(16)]
    for connection in slow:
        connection.send(b'{"comm')
    extra = connect(service)
    assert answer(extra) == b""  # sixteen are the most, the next is turned away
    for connection in slow:
        assert answer(connection) == b""
        connection.close()
    assert service.ask_on(service.socket, command="status")[0]["frames"] > 0


def test_askers_cannot_crowd_out_an_administrator(service: Running) -> None:
    waiting = [connect(service) for _ in range(16)]
    assert service.ask(command="list")[0]["people"] == []
    for connection in waiting:
        connection.close()


def test_a_client_that_never_reads_is_dropped(service: Running) -> None:
    deaf = connect(service)
    deaf.sendall(b'{"command": "status"}\n')
    time.sleep(2.5)
    assert service.ask(command="status")[0]["people"] == 0
    deaf.close()


def test_one_line_and_the_end_of_input_is_a_request(service: Running) -> None:
    with connect(service) as connection:
        connection.sendall(b'{"command": "status"}')
        connection.shutdown(socket.SHUT_WR)
        assert json.loads(answer(connection))["status"].startswith("watching live.avi")


def test_only_owner_and_group_may_use_it(service: Running) -> None:
    for path in (service.socket, service.admin_socket):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_second_service_does_not_take_the_socket_over(service: Running) -> None:
    done = service.command("run", "--config", str(service.settings))
    assert done.returncode == 2
    assert "another edgeface service listens" in done.stderr
    assert service.ask(command="status")


def test_somebody_is_enrolled_verified_and_identified_live(service: Running) -> None:
    lines = service.ask(command="enroll", name="barack", within=LONG)
    assert any("turn left" in line["progress"]["message"] for line in lines[:-1])
    assert lines[-1]["name"] == "barack"
    assert lines[-1]["templates"] >= 2
    (verified,) = service.ask(command="verify", name="barack", within=LONG)
    assert verified["match"] is True
    assert verified["score"] >= verified["threshold"]
    (identified,) = service.ask(command="identify", within=LONG)
    assert [face["name"] for face in identified["faces"]] == ["barack"]
    status = service.command("status")
    assert status.returncode == 0
    assert "1 person" in status.stdout
    # Between two passes of the video nobody is in view for a moment.
    service.until(lambda: "in view: barack" in service.command("status").stdout)


def test_too_many_refused_attempts_lock_the_door_and_say_so(service: Running) -> None:
    assert service.command("enroll", "joe", str(PORTRAITS / "biden.jpg")).returncode == 0
    service.until(lambda: service.ask(command="status")[0]["people"] == 1)
    seen = 0
    while seen < 2:  # a slow machine may see no face in a second, which is no refused attempt
        (refused,) = service.ask(command="verify", name="joe", within=1)
        assert refused["match"] is False
        seen += refused["seen"]
    (locked,) = service.ask(command="verify", name="joe", within=1)
    assert "locked for" in locked["error"]
    service.until(lambda: service.of("lockout"))
    assert "2 refused attempts" in service.of("lockout")[0]["message"]
    assert service.ask(command="status")[0]["locked_s"] > 0


def test_an_attempt_ends_when_its_asker_hangs_up(service: Running) -> None:
    for _ in range(8):  # more than may be open at once
        with connect(service, service.admin_socket) as connection:
            connection.sendall(b'{"command": "enroll", "name": "x", "within": 300}\n')
            connection.recv(100)
    service.until(lambda: "faces" in service.ask(command="identify", within=1)[-1])


def test_reload_over_the_socket_answers_with_what_is_wrong(service: Running) -> None:
    assert service.command("reload").returncode == 0
    service.settings.write_text("[sorce]")
    done = service.command("reload")
    assert done.returncode == 2
    assert "nearest is source" in done.stderr
    assert service.ask(command="status")


def test_a_changed_control_socket_is_not_said_to_be_in_force(service: Running) -> None:
    changed = service.settings.read_text().replace("control.sock", "other.sock")
    service.settings.write_text(changed.replace("attempts = 2", "attempts = 7"))
    done = service.command("reload")
    assert done.returncode == 2
    assert "needs a restart" in done.stderr
    assert service.ask(command="status")


def test_an_fpir_that_no_score_reaches_is_refused_and_the_loop_goes_on(service: Running) -> None:
    before = service.settings.read_text()
    for fpir, reason in (("1e-9", "no score is high enough"), ("0.5", "one stranger in ten")):
        service.settings.write_text(f"[recognition]\nfpir = {fpir}\n{before}")
        done = service.command("reload")
        assert done.returncode == 2
        assert reason in done.stderr
        done = service.command("run", "--config", str(service.settings), "--max-frames", "1")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert service.ask(command="status")[0]["frames"] > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has anything to lose there")
def test_root_does_not_listen_where_others_can_change_names(tmp_path: Path) -> None:
    foreign, shared = tmp_path / "foreign", tmp_path / "shared"
    foreign.mkdir()
    shared.mkdir()
    os.chown(foreign, 65534, 65534)
    shared.chmod(0o777)
    for folder in (foreign, shared):
        with pytest.raises(ConfigError, match="other users can change"):
            listen(folder / "control.sock", "root")
        assert list(folder.iterdir()) == []


def test_without_a_service_the_advice_is_to_start_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgeface", "status"],
        env={**os.environ, "EDGEFACE_SOCKET": str(tmp_path / "none.sock")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "start it with: sudo systemctl start edgeface" in done.stderr
