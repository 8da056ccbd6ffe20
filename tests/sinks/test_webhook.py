"""The webhook against a real HTTP server that fails half the time."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgeface.sinks import Outlet
from edgeface.sinks.settings import WebhookSettings as Settings
from edgeface.sinks.webhook import Webhook
from tests.helpers.sinks import event, wait_until

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


@pytest.mark.parametrize("status", [400, 301, 308])
def test_an_event_that_is_refused_for_good_does_not_block_the_next(
    server: Server, tmp_path: Path, status: int
) -> None:
    hook = outlet(server, tmp_path)
    server.status = status
    hook.put(event())
    wait_until(lambda: hook.delivered == 1)
    server.status = 200
    hook.put(event(name="bob"))
    wait_until(lambda: len(server.accepted) == 1)
    hook.close()


def test_a_secret_that_is_missing_is_told(tmp_path: Path) -> None:
    settings = Settings(url="http://127.0.0.1:9/", secret_file=str(tmp_path / "none"))
    told: list[str] = []
    hook = Outlet(lambda: Webhook(settings), "webhook", ["recognized"], 10, told.append)
    wait_until(lambda: told)
    assert "cannot read the secret" in told[0]
    hook.close()
