"""No password of a camera or a webhook is printed, and each is sent where it belongs."""

from __future__ import annotations

import base64
import json
import os
import socket
import stat
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgeface.service.install import install
from edgeface.sources import SourceSettings
from edgeface.sources.feed import LiveFeed
from tests.helpers.service import Running
from tests.helpers.sinks import free_port, wait_until
from tests.helpers.sources import MjpegServer
from tests.sources.test_feed import wait_for_frame, wait_for_notice

PARTS = ("us3r", "p@ss", "w0rd", "q5ecret", "h00k", "t0ken")


def settings(camera: int, hook: int) -> str:
    return (
        f'[source]\nspec = "http://us3r:p@ss/w0rd@127.0.0.1:{camera}/s?user=us3r&password=q5ecret"\n'
        f'[webhook]\nurl = "http://us3r:h00k/@w0rd@127.0.0.1:{hook}/x?token=t0ken"\n'
        'events = ["source_lost"]\ntimeout = "1 s"\n'
    )


def test_nothing_that_the_service_says_holds_a_password(tmp_path: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    said: list[str] = []

    def listen() -> None:
        while True:
            said.append(manager.recv(2000).decode())

    threading.Thread(target=listen, daemon=True).start()
    text = settings(free_port(), free_port())
    with Running(tmp_path, text, NOTIFY_SOCKET=str(tmp_path / "notify")).ready() as service:
        service.until(lambda: service.of("source_lost") and service.of("sink_failed"))
        said += [json.dumps(service.ask(command="status"))]
        for words in (["status"], ["status", "--json"], ["doctor", "--config", service.settings]):
            done = service.command(*map(str, words))
            said += [done.stdout, done.stderr]
        for option in ([], ["--json"]):
            done = service.command("config", "check", str(service.settings), *option)
            assert done.returncode == 0
            said += [done.stdout, done.stderr]
        assert service.stop() == 0
        said += [*service.errors, *map(json.dumps, service.events)]
    everything = "\n".join(said)
    assert "http://...@127.0.0.1" in everything
    assert [part for part in PARTS if part in everything] == []


@pytest.mark.parametrize(
    "spec",
    ["ftp://us3r:p@ss/w0rd@cam/x", "rtsp:/us3r:w0rd@cam/x", "us3r:w0rd@cam/x", "http://us3r:w0rd"],
)
def test_a_source_that_cannot_be_is_refused_without_its_password(
    edgeface: Any, tmp_path: Path, spec: str
) -> None:
    file = tmp_path / "s.toml"
    file.write_text(f'[source]\nspec = "{spec}"\n')
    for words in (
        ["run", "--source", spec],
        ["run", "--config", file],
        ["doctor", "--source", spec],
    ):
        done = edgeface(*words)
        assert done.status in (1, 2)
        assert "w0rd" not in done.stdout + done.stderr


def test_a_camera_gets_its_user_and_password_from_wherever_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "edgeface_camera").write_text("p@ss/w0rd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    server = MjpegServer(login="us3r:p@ss/w0rd")
    place = f"127.0.0.1:{server.port}/stream.mjpg"
    file = tmp_path / "s.toml"
    for text in (
        f'spec = "http://us3r:p@ss/w0rd@{place}"',
        f'spec = "http://us3r:p%40ss%2Fw0rd@{place}"',
        f'spec = "http://{place}"\nuser = "us3r"\npassword = "credential:camera"',
    ):
        file.write_text(f"[source]\n{text}\n")
        with LiveFeed(source_of(file)) as feed:
            wait_for_frame(feed)
    file.write_text(f'[source]\nspec = "http://{place}"\nuser = "us3r"\npassword = "wr0ng"\n')
    with LiveFeed(source_of(file)) as feed:
        wait_for_notice(feed, lost=True)
    server.cut()


def source_of(file: Path) -> SourceSettings:
    from edgeface.service.config import load_config

    return load_config(file).source


def test_another_source_on_the_command_line_gets_no_password(tmp_path: Path) -> None:
    from edgeface.cli.run import with_options
    from edgeface.service.config import load_config

    file = tmp_path / "s.toml"
    file.write_text('[source]\nspec = "http://cam/x"\nuser = "a"\npassword = "b"\nfps = 9.0\n')
    source = with_options(load_config(file), "http://other/x", None, None).source
    assert source.login() is None
    assert source.fps == 9


@pytest.mark.parametrize("where", ["url", "authorization", "credential"])
def test_a_webhook_gets_its_authorization(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    from edgeface.service.config import load_config
    from edgeface.service.outlets import build_outlets
    from tests.helpers.sinks import event

    got: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            got.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"127.0.0.1:{server.server_address[1]}/x"
    (tmp_path / "edgeface_hook").write_text("Bearer t0ken\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    text, wanted = {
        "url": (
            f'url = "http://us3r:p@ss/w0rd@{place}"',
            "Basic " + base64.b64encode(b"us3r:p@ss/w0rd").decode(),
        ),
        "authorization": (f'url = "http://{place}"\nauthorization = "Bearer x"', "Bearer x"),
        "credential": (
            f'url = "http://{place}"\nauthorization = "credential:hook"',
            "Bearer t0ken",
        ),
    }[where]
    file = tmp_path / "s.toml"
    file.write_text(f"[webhook]\n{text}\n")
    with build_outlets(load_config(file), lambda *_: None) as outlets:
        outlets.put(event())
        wait_until(lambda: got)
    server.shutdown()
    server.server_close()
    assert got == [wanted]


@pytest.mark.parametrize(
    "text",
    [
        '[source]\nspec = "http://a:b@cam/"\npassword = "c"',
        '[webhook]\nurl = "http://a:b@cam/"\nauthorization = "c"',
        '[mqtt]\nhost = "mqtt://a:w0rd@broker"',
        '[source]\nspec = "http://cam/"\npassword = "credential:../w0rd"',
    ],
)
def test_what_names_a_secret_twice_or_in_the_wrong_place_is_refused(
    edgeface: Any, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    done = edgeface("config", "check", file)
    assert done.status == 2
    assert "w0rd" not in done.stderr


def test_the_settings_are_for_root_and_the_service_alone(tmp_path: Path) -> None:
    file = tmp_path / "etc/edgeface/edgeface.toml"
    install(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    file.chmod(0o666)  # as an earlier version left it, or worse
    install(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def check(edgeface: Any, file: Path) -> tuple[bool, str]:
    done = edgeface("doctor", "--config", file, "--json")
    found = next(c for c in done.json["checks"] if c["name"] == "settings")
    return found["ok"], found["detail"] + found["advice"]


def test_doctor_names_a_secret_in_the_settings(edgeface: Any, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        '[source]\nspec = "http://cam/"\nuser = "credential:camera-user"\npassword = "w0rd"\n'
        '[webhook]\nurl = "http://a:w0rd@127.0.0.1:9/"\n'
    )
    file.chmod(0o640)
    ok, said = check(edgeface, file)
    assert not ok
    assert "source.password and webhook.url" in said
    assert "credential:NAME" in said
    assert "w0rd" not in said
    assert "permissions" not in said
    file.chmod(0o644)
    assert "0644, wider than 0640" in check(edgeface, file)[1]
    file.write_text('[source]\nspec = "http://cam/"\npassword = "credential:camera"\n')
    assert check(edgeface, file)[0]


def test_doctor_names_permissions_that_are_too_wide(
    edgeface: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, password = tmp_path / "s.toml", tmp_path / "password"
    password.write_text("w0rd")
    file.write_text(f'[mqtt]\nhost = "x"\npassword_file = "{password}"\n')
    monkeypatch.setattr("edgeface.service.doctor.SYSTEM_CONFIG", file)
    file.chmod(0o664)
    password.chmod(0o640)
    ok, said = check(edgeface, file)
    assert not ok
    assert f"{file} has the permissions 0664, wider than 0640" in said
    assert f"{password} has the permissions 0640, though it holds a secret" in said
    file.chmod(0o640)
    password.chmod(0o600)
    assert check(edgeface, file)[0]


def test_settings_that_may_not_be_read_are_no_defaults(
    edgeface: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "s.toml"
    file.write_text("")
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, how: path != file and may(path, how))
    monkeypatch.setattr("edgeface.cli.doctor.SYSTEM_CONFIG", file)
    monkeypatch.setattr("edgeface.service.doctor.SYSTEM_CONFIG", file)
    done = edgeface("doctor", "--json")
    assert (
        "you may not read"
        in next(c for c in done.json["checks"] if c["name"] == "settings")["detail"]
    )
