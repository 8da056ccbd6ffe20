"""The console as a browser meets it: a client with a session, on a service that really runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeface.console.options import ConsoleOptions

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
