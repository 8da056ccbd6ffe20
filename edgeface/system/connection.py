"""Connections: TCP, TLS and HTTP with one deadline for everything that happens on them.

Takes in a host and a deadline, hands on an open connection whose every step, from looking up the
name to the last byte, ends at the deadline: a server that sends a byte now and then holds nobody
up. TLS checks certificate and name. It follows no redirect and asks no proxy.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import ipaddress
import queue
import socket
import ssl
import struct
import time
from typing import Any

from edgeface.system.threads import Worker


class Deadline:
    """A moment by the monotonic clock, which can be moved."""

    def __init__(self, seconds: float) -> None:
        self.renew(seconds)

    def renew(self, seconds: float) -> None:
        """Let it lie so many seconds from now."""
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until then; TimeoutError when it is over."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


class TimedSocket:
    """What http.client needs of a socket, each call ending at the deadline."""

    def __init__(self, plain: socket.socket, deadline: Deadline) -> None:
        self._socket, self._deadline = plain, deadline
        self._files = 0
        self._closing = False

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; TimeoutError at the deadline."""
        view = memoryview(data).cast("B")
        while view:
            self._socket.settimeout(self._deadline.left())
            view = view[self._socket.send(view) :]

    def receive_into(self, buffer: Any) -> int:
        """What has come, 0 at the end; TimeoutError at the deadline."""
        self._socket.settimeout(self._deadline.left())
        return self._socket.recv_into(buffer)

    def makefile(self, mode: str = "rb") -> io.BufferedReader:
        """A file to read from; the connection stays open until it is closed, too."""
        self._files += 1
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Close it, once nobody reads any more."""
        self._closing = True
        if self._files == 0:
            self._socket.close()

    def abort(self) -> None:
        """Close it at once; what the system has not sent yet is never sent."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def let_go(self) -> None:
        """A reader has been closed."""
        self._files -= 1
        if self._closing:
            self.close()


class _Reader(io.RawIOBase):
    def __init__(self, timed: TimedSocket) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.receive_into(buffer)

    def close(self) -> None:
        if not self.closed:
            self._timed.let_go()
        super().close()


class HttpConnection(http.client.HTTPConnection):
    """HTTP with one deadline; with a context over TLS."""

    def __init__(
        self, host: str, port: int | None, deadline: Deadline, context: ssl.SSLContext | None
    ) -> None:
        self.default_port = 80 if context is None else 443
        super().__init__(host, port)
        self._deadline, self._context = deadline, context

    def connect(self) -> None:
        """Called by http.client when a request is made."""
        made: Any = TimedSocket(
            connect(self.host, self.port, self._deadline, self._context), self._deadline
        )
        self.sock = made

    def abort(self) -> None:
        """Close it at once; what the system has not sent yet is never sent."""
        if isinstance(self.sock, TimedSocket):
            self.sock.abort()
        self.close()


def connect(
    host: str, port: int, deadline: Deadline, context: ssl.SSLContext | None
) -> socket.socket:
    """A connected socket, over TLS where there is a context. OSError when there can be none.

    Its own timeout is what was left when it was made.
    """
    trouble: OSError | None = None
    for family, address in _resolve(host, port, deadline):
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(deadline.left())
            plain.connect(address)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(deadline.left())
            return plain if context is None else context.wrap_socket(plain, server_hostname=host)
        except OSError as error:
            plain.close()
            trouble = error
    raise trouble or OSError(f"{host} has no address")


def _resolve(host: str, port: int, deadline: Deadline) -> list[tuple[int, Any]]:
    """Families and addresses of a host; the system's look-up knows no deadline of its own."""
    with contextlib.suppress(ValueError):
        number = ipaddress.ip_address(host)
        family = socket.AF_INET if number.version == 4 else socket.AF_INET6
        return [(family, (host, port))]
    answers: queue.SimpleQueue[list[tuple[int, Any]] | OSError] = queue.SimpleQueue()

    def look_up(_: object) -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([(family, address) for family, *_, address in found])
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError("is no host name"))

    worker = Worker("resolve", look_up)
    try:
        answer = answers.get(timeout=deadline.left())
    except queue.Empty:
        raise TimeoutError("its name could not be looked up in time") from None
    finally:
        worker.close(0)
    if isinstance(answer, OSError):
        raise answer
    return answer
