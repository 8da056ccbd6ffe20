"""`edgeface console` as a process: on this machine alone, or with a password and TLS."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import socket
import ssl
import time
from pathlib import Path

import pytest

from edgeface.cli import main
from edgeface.console.certificate import fingerprint, own
from edgeface.system.upload import MOST_TOGETHER
from tests.helpers.command import call
from tests.helpers.console import PASSWORD, console
from tests.helpers.service import LONG, Running

httpx = pytest.importorskip("httpx")


def resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def set_password(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: PASSWORD)
    assert call(main, "console", "password", "--state", state).status == 0
    assert (state / "password").stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in (state / "password").read_text()


def test_in_the_network_it_wants_a_password_and_speaks_tls(
    service: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "console"
    refused = call(main, "console", "--lan", "--state", state, environment=service.environment)
    assert refused.status == 2
    assert "set a password first" in refused.stderr
    set_password(state, monkeypatch)
    token = call(main, "console", "token", "tests", "--scope", "events", "--state", state)
    with console(service, state, "--lan") as (port, printed, pid):
        certificate = state / "certificate.pem"
        assert (state / "key.pem").stat().st_mode & 0o777 == 0o600
        assert fingerprint(certificate) in printed
        trust = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(base_url=f"https://localhost:{port}", verify=trust) as client:
            answer = client.post("/login", data={"password": PASSWORD})
            assert answer.status_code == 303
            assert "Secure" in answer.headers["set-cookie"]
            assert "server" not in answer.headers
            assert client.get("/people").status_code == 200
            assert resident_megabytes(pid) < 60
            header = {"Authorization": f"Bearer {token.stdout.strip()}", "Last-Event-ID": "0"}
            with client.stream("GET", "/api/v1/events/stream", headers=header) as events:
                lines = events.iter_lines()
                assert next(line for line in lines if line.startswith("data: "))
            for _ in range(5):  # one more than may watch: who stops watching makes room
                with client.stream("GET", "/api/v1/live") as watched:
                    assert watched.status_code == 200
                    assert next(line for line in watched.iter_lines() if "picture" in line)
                time.sleep(0.5)
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://localhost:{port}/login")


def test_the_largest_upload_fits_the_memory_of_its_unit_and_more_is_refused(
    service: Running, tmp_path: Path
) -> None:
    state = tmp_path / "console"
    state.mkdir(mode=0o700)
    token = call(main, "console", "token", "tests", "--scope", "manage", "--state", state)
    header = {"Authorization": f"Bearer {token.stdout.strip()}"}
    url = "/api/v1/enrollments/pictures?name=eve"
    largest = [("picture", (f"{n}.jpg", b"x" * (MOST_TOGETHER // 2))) for n in range(2)]
    with console(service, state) as (port, _, pid):
        base = f"http://localhost:{port}"
        with httpx.Client(base_url=base, headers=header, timeout=LONG) as client:
            begun = client.post(url, files=largest)
            assert begun.status_code == 202, begun.text
            place = f"/api/v1/enrollments/{begun.json()['id']}"
            deadline = time.monotonic() + LONG
            while (ended := client.get(place).json())["state"] == "running":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert [one["image"] for one in ended["rejected"]] == ["0.jpg", "1.jpg"]
            assert peak_megabytes(pid) < 115  # MemoryMax of the unit is 128
            with socket.create_connection(("localhost", int(port))) as endless:
                endless.settimeout(LONG)
                endless.sendall(
                    f"POST {url} HTTP/1.1\r\nHost: localhost:{port}\r\n"
                    f"Authorization: {header['Authorization']}\r\n"
                    "Content-Type: multipart/form-data; boundary=x\r\n"
                    "Content-Length: 1000000000\r\n\r\n--x\r\n"
                    'Content-Disposition: form-data; name="picture"; filename="a"\r\n\r\n'.encode()
                )
                with contextlib.suppress(ConnectionError):
                    for _ in range(100):
                        endless.sendall(b"x" * 1_000_000)
                with contextlib.suppress(ConnectionError):
                    assert endless.recv(12) == b"HTTP/1.1 413"
            assert peak_megabytes(pid) < 115


def peak_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def test_without_lan_only_this_machine_reaches_it(service: Running, tmp_path: Path) -> None:
    state = tmp_path / "console"
    state.mkdir(mode=0o700)
    with console(service, state) as (port, printed, _):
        assert f"http://localhost:{port}/" in printed
        assert "sudo edgeface console password" in httpx.get(f"http://localhost:{port}/login").text
        listening = [
            line.split()[1]
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            if line.split()[1].endswith(f":{int(port):04X}") and line.split()[3] == "0A"
        ]
    assert listening == [f"0100007F:{int(port):04X}"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--name", "x"), "for --lan"),
        (("--lan", "--certificate", "FILE"), "go together"),
        (("token", "x"), "--scope"),
        (("token", "x", "--scope", "status", "--remove"), "--scope"),
        (("token", "x\n", "--scope", "status"), "printable"),
        (("token", "x", "--remove", "--state", "STATE"), "no token"),
    ],
)
def test_a_wrong_option_is_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    (tmp_path / "file").write_text("")
    words = [
        word.replace("FILE", str(tmp_path / "file")).replace("STATE", str(tmp_path))
        for word in arguments
    ]
    done = call(main, "console", *words)
    assert done.status == 2
    assert reason in done.stderr


def test_a_short_password_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: "short")
    done = call(main, "console", "password", "--state", tmp_path)
    assert done.status == 2
    assert "characters" in done.stderr
    assert not (tmp_path / "password").exists()


def test_what_root_sets_before_the_first_start_is_where_the_unit_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "edgeface-console"
    worked: list[Path] = []
    monkeypatch.setattr("edgeface.cli.console._SYSTEM", folder)
    monkeypatch.setattr("edgeface.cli.console.work_as_owner", worked.append)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("pwd.getpwnam", lambda _: pwd.getpwuid(os.getuid()))
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: PASSWORD)
    assert call(main, "console", "password").status == 0
    assert folder.stat().st_mode & 0o777 == 0o700
    assert sorted(os.listdir(folder)) == ["password"]
    assert worked == [folder / "password"]  # as the user, to whom the folder belongs


@pytest.mark.parametrize("lan", [False, True])
def test_a_link_for_the_first_visit_is_shown_once_and_kept_as_a_hash(
    tmp_path: Path, lan: bool
) -> None:
    words = ["--lan"] if lan else []
    done = call(main, "console", "link", "--state", tmp_path, "--port", "81", *words)
    where = f"https://{socket.gethostname()}.local" if lan else "http://localhost"
    found = re.fullmatch(rf"{re.escape(where)}:81/first/([\w-]{{43}})\n", done.stdout)
    assert found is not None, done.stdout
    kept = tmp_path / "invitation.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert found[1] not in kept.read_text()


def test_a_certificate_of_its_own_is_made_once(tmp_path: Path) -> None:
    certificate, _ = own(tmp_path, ("localhost", "127.0.0.1"))
    first = fingerprint(certificate)
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", first)
    own(tmp_path, ("localhost",))
    assert fingerprint(certificate) == first
    assert os.listdir(tmp_path) and not list(tmp_path.glob(".*"))
