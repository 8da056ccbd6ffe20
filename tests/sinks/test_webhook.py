"""The webhook against a real HTTP server that fails half the time."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import socket
import textwrap
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgeface.sinks import Outlet
from edgeface.sinks.settings import WebhookSettings as Settings
from edgeface.sinks.webhook import Webhook
from edgeface.system.units import Seconds
from tests.conftest import CHECKOUT
from tests.helpers.sinks import Clock, event, wait_until

SECRET = b"a shared secret"


class Server:
    """Accepts every second request; the others get a 503 or a cut connection in turn."""

    def __init__(self) -> None:
        served = self
        self.accepted: list[tuple[dict[str, str], bytes]] = []
        self.requests = 0
        self.status = 200

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                served.requests += 1
                if served.requests % 4 == 1:
                    self.send_error(503)
                elif served.requests % 4 == 3:
                    self.connection.close()
                else:
                    if served.status == 200:
                        served.accepted.append((dict(self.headers), body))
                    self.send_response(served.status)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook?door=front"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def outlet(server: Server, tmp_path: Path) -> Outlet:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET + b"\n")
    settings = Settings(url=server.url, secret_file=str(secret))
    return Outlet(lambda: Webhook(settings), "webhook", ["recognized"], 100)


def test_every_event_arrives_once_in_order_and_signed(server: Server, tmp_path: Path) -> None:
    hook = outlet(server, tmp_path)
    events = [event(name=f"person {i}") for i in range(8)]
    for one in events:
        hook.put(one)
    wait_until(lambda: len(server.accepted) == 8, 30)
    hook.close()
    assert [json.loads(body)["id"] for _, body in server.accepted] == [one.id for one in events]
    for headers, body in server.accepted:
        digest = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        assert headers["X-EdgeFace-Signature"] == f"sha256={digest}"
        assert headers["X-EdgeFace-Id"] == json.loads(body)["id"]
    assert server.requests >= 15


@pytest.mark.parametrize("status", [400, 404, 301, 308])
def test_an_event_that_is_refused_for_good_does_not_block_the_next(
    server: Server, tmp_path: Path, status: int
) -> None:
    hook = outlet(server, tmp_path)
    server.status = status
    hook.put(event())
    wait_until(lambda: hook.lost == 1)
    assert hook.delivered == 0
    assert f"status {status}" in (hook.trouble or "")
    server.status = 200
    hook.put(event(name="bob"))
    wait_until(lambda: hook.delivered == 1)
    assert hook.trouble is None
    assert len(server.accepted) == 1
    hook.close()


def test_a_wrong_address_is_reported_and_not_only_logged(server: Server, tmp_path: Path) -> None:
    server.status = 404
    settings, reported = Settings(url=server.url), list[str]()
    hook = Outlet(partial(Webhook, settings), "webhook", ["recognized"], 10, reported.append)
    for _ in range(4):
        hook.put(event())
    wait_until(lambda: hook.lost == 4)
    hook.close()
    refusals = [sentence for sentence in reported if "refused an event with status 404" in sentence]
    assert len(refusals) == 1


def example() -> dict[str, Any]:
    """What the documents tell a receiver to do."""
    text = (CHECKOUT / "docs" / "events.md").read_text()
    found = re.search(r"(?m)^    import hmac(?:.*\n)(?:    .*\n|\n)+", text)
    assert found is not None
    scope: dict[str, Any] = {}
    exec(textwrap.dedent(found[0]), scope)  # noqa: S102 (our own documents)
    return scope


def test_the_documented_check_refuses_a_replay(server: Server, tmp_path: Path) -> None:
    hook = outlet(server, tmp_path)
    hook.put(event())
    wait_until(lambda: server.accepted)
    hook.close()
    headers, body = server.accepted[0]
    sent = int(headers["X-EdgeFace-Time"])
    assert abs(time.time() - sent) < 60

    def accepts(
        after: float, receiver: dict[str, Any] | None = None, changed: dict[str, str] | None = None
    ) -> bool:
        """What a receiver says to the request, or to a forged one, so many seconds later."""
        check = (receiver or example())["accepts"]
        return bool(check({**headers, **(changed or {})}, body, SECRET, lambda: sent + after))

    assert accepts(1)
    receiver = example()
    assert accepts(1, receiver)
    assert not accepts(2, receiver)  # the same again
    for later in (11, 60, 86400, -11):
        assert not accepts(later)
    assert not accepts(3600, changed={"X-EdgeFace-Time": str(sent + 3600)})
    of_the_body = headers["X-EdgeFace-Signature"]
    assert not accepts(1, changed={"X-EdgeFace-Time-Signature": of_the_body})
    assert not example()["accepts"](headers, body + b" ", SECRET, lambda: sent + 1)
    assert not example()["accepts"](headers, body, b"another secret", lambda: sent + 1)


@pytest.mark.parametrize("part", ["status", "headers", "continue"])
def test_a_receiver_that_drips_does_not_hold_the_others_up(part: str) -> None:
    stopped = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    drops = {
        "status": b"H",
        "headers": b"HTTP/1.1 200 OK\r\nX-Long: ",
        "continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    }[part]

    def drip() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(drops)
            while not stopped.wait(0.05):
                connection.sendall(drops if part == "continue" else b"x")

    threading.Thread(target=drip, daemon=True).start()
    place = f"127.0.0.1:{listener.getsockname()[1]}"
    settings = Settings(url=f"http://{place}/", timeout=Seconds(0.5))
    hook = Outlet(lambda: Webhook(settings), "webhook", ["recognized"], 10)
    hook.put(event())
    wait_until(lambda: hook.trouble, 20)
    assert hook.trouble == f"{place} cannot be reached (timed out)"
    stopped.set()
    hook.close()
    listener.close()


def test_a_webhook_that_opens_something_gets_no_event_that_is_late(
    server: Server, tmp_path: Path
) -> None:
    clock = Clock()
    for trigger, wanted in ((True, ["fresh"]), (False, ["late", "fresh"])):
        server.accepted.clear()
        settings = Settings(url=server.url, trigger=trigger)
        hook = Outlet(partial(Webhook, settings), "webhook", ["recognized"], 9, clock=clock)
        hook.put(event(name="late"), seen=clock.now - 3.1)
        hook.put(event(name="fresh"))
        wait_until(lambda: not hook.waiting)  # noqa: B023 (it is called before the next pass)
        hook.close()
        assert [json.loads(body)["name"] for _, body in server.accepted] == wanted


def test_a_secret_that_is_missing_is_told(tmp_path: Path) -> None:
    settings = Settings(url="http://127.0.0.1:9/", secret_file=str(tmp_path / "none"))
    told: list[str] = []
    hook = Outlet(lambda: Webhook(settings), "webhook", ["recognized"], 10, told.append)
    wait_until(lambda: told)
    assert "cannot read the secret" in told[0]
    hook.close()
