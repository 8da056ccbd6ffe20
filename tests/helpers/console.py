"""The console as a browser meets it: a client with a session, on a service that really runs."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeface.console.options import ConsoleOptions
from tests.helpers.service import LONG, Running

PASSWORD = "correct horse battery"  # noqa: S105 (of the tests)
pytest.importorskip("starlette", reason="the extra console is not installed")
testclient = pytest.importorskip("starlette.testclient", reason="httpx is not installed")


class Clock:
    """Seconds that the test turns."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def options(folder: Path, *, lan: bool = False) -> ConsoleOptions:
    """A console for a service whose files are in `folder`, with a folder of its own in it."""
    state = folder / "console"
    state.mkdir(mode=0o700, exist_ok=True)
    return ConsoleOptions(
        state=state,
        socket=folder / "control.sock",
        admin_socket=folder / "control-admin.sock",
        history=folder / "history" / "events.sqlite",
        lan=lan,
        names=("door.local",),
        version="1.2.3",
    )


class Browser:
    """A client that keeps cookies and knows its session's token."""

    def __init__(
        self,
        chosen: ConsoleOptions,
        clock: Callable[[], float] | None = None,
        ticks: Callable[[], float] | None = None,
    ) -> None:
        from edgeface.console.app import build
        from edgeface.console.passwords import Password

        self.password = Password(chosen.state)
        if not self.password.is_set:
            self.password.set(PASSWORD)
        given = {
            key: value for key, value in (("clock", clock), ("ticks", ticks)) if value is not None
        }
        scheme = "https" if chosen.lan else "http"
        self.client = testclient.TestClient(
            build(chosen, **given),
            base_url=f"{scheme}://localhost:8700",
            follow_redirects=False,
            raise_server_exceptions=False,
        )
        self.csrf = ""

    def log_in(self) -> Browser:
        """Log in, and take the token of the session from a page."""
        answer = self.post("/login", password=PASSWORD)
        assert answer.status_code == 303, answer.text
        found = re.search(r'name="csrf" value="([^"]+)"', self.client.get("/access").text)
        assert found is not None
        self.csrf = found[1]
        return self

    def get(self, path: str, **headers: str):  # type: ignore[no-untyped-def]
        return self.client.get(path, headers=headers)

    def post(self, path: str, **fields: str):  # type: ignore[no-untyped-def]
        return self.client.post(path, data=fields)

    def send(self, path: str, **fields: str):  # type: ignore[no-untyped-def]
        """A form as a page of this session sends it."""
        return self.post(path, csrf=self.csrf, **fields)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def console(service: Running, state: Path, *arguments: str) -> Iterator[tuple[str, str, int]]:
    """A console that runs: its port's number, what it has printed, its process."""
    port = str(free_port())
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeface", "console", "--state", state, "--port", port, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=service.environment,
        text=True,
    )
    try:
        printed = ""
        while "listens at" not in printed:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, printed
            printed += line
        deadline = time.monotonic() + LONG
        while socket.socket().connect_ex(("127.0.0.1", int(port))):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port, printed, process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG) == 0
    finally:
        process.kill()
        process.wait()
