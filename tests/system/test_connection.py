"""Connections end at their deadline, whatever the other side does; tests of the webhook and of
MJPEG cameras show the rest."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest

from edgeface.system.connection import Deadline, HttpConnection, connect


def test_a_deadline_is_over_when_its_time_is_over() -> None:
    deadline = Deadline(60)
    assert 0 < deadline.left() <= 60
    deadline.renew(-1)
    with pytest.raises(TimeoutError):
        deadline.left()


def test_a_name_that_is_looked_up_for_ever_ends_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found.wait(60) and [])
    with pytest.raises(TimeoutError, match="name could not be looked up"):
        connect("camera.example", 80, Deadline(0.2), None)
    found.set()


def test_a_name_that_does_not_exist_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match=r"."):
        connect("no-such-host.invalid", 80, Deadline(20), None)
    with pytest.raises(OSError, match="host name"):
        connect("a" * 70 + ".example", 80, Deadline(20), None)


def test_a_server_that_accepts_and_says_nothing_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = HttpConnection("127.0.0.1", listener.getsockname()[1], Deadline(0.3), None)
        connection.request("GET", "/")
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.abort()


def test_an_answer_is_read_to_its_end_after_the_connection_was_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(1000)
                client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + bytes(100_000))

        threading.Thread(target=answer, daemon=True).start()
        connection = HttpConnection("127.0.0.1", listener.getsockname()[1], Deadline(20), None)
        connection.request("GET", "/")
        response = connection.getresponse()
        connection.close()
        assert isinstance(response, http.client.HTTPResponse)
        assert len(response.read()) == 100_000
