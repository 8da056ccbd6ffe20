"""A small RTSP camera: one client at a time, JPEG pictures over the same connection (RFC 2435)."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Sequence

import cv2

from tests.helpers.sources import numbered

_QUALITY = 60
_PIECE = 1000  # bytes of a picture in a packet


class RtspServer:
    """Serves a counter in brightness; over TLS where there is a context."""

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        redirect: str | None = None,
        login: str | None = None,
        sizes: Sequence[tuple[int, int]] = ((96, 64),),
    ) -> None:
        """`redirect`: the URL that it leads to instead; `login`: what it asks for (Basic); `sizes`:
        of its pictures, for 20 pictures each, the last one from then on."""
        self._sizes = sizes
        self._context, self._redirect = context, redirect
        self._wanted = login and "Basic " + base64.b64encode(login.encode()).decode()
        self.pictures = 0  # over all connections
        self.requests: list[str] = []
        self.logins: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as lines:
                while self._answer(connection, lines):
                    pass
                self._play(connection)

    def _answer(self, connection: socket.socket, lines) -> bool:  # type: ignore[no-untyped-def]
        """Answer one request; whether another one is to be answered."""
        request = lines.readline().decode()
        if not request:
            raise ValueError("the client has gone")
        headers = {}
        while line := lines.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        method, url, _ = request.split()
        self.requests.append(method)
        if "authorization" in headers:
            self.logins.append(headers["authorization"])
        status, more, body = "200 OK", "", ""
        if self._wanted and headers.get("authorization") != self._wanted:
            status, more = "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"\r\n'
        elif method == "OPTIONS":
            more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n"
        elif method == "DESCRIBE" and self._redirect:
            status, more = "302 Found", f"Location: {self._redirect}\r\n"
        elif method == "DESCRIBE":
            body = (
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
                "m=video 0 RTP/AVP 26\r\nc=IN IP4 0.0.0.0\r\na=control:track1\r\n"
            )
            more = f"Content-Type: application/sdp\r\nContent-Base: {url}/\r\n"
        elif method == "SETUP" and "interleaved" not in headers["transport"]:
            status = "461 Unsupported Transport"  # over UDP
        elif method == "SETUP":
            more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        connection.sendall(
            f"RTSP/1.0 {status}\r\nCSeq: {headers['cseq']}\r\nSession: 1\r\n{more}"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        return method != "PLAY"

    def _play(self, connection: socket.socket) -> None:
        sequence = 0
        for number in range(1_000_000):
            width, height = self._sizes[min(self.pictures // 20, len(self._sizes) - 1)]
            self.pictures += 1
            scan = _scan(number % 200, width, height)
            for at in range(0, len(scan), _PIECE):
                piece = scan[at : at + _PIECE]
                last = at + _PIECE >= len(scan)
                rtp = struct.pack(
                    ">BBHII", 0x80, 26 | (0x80 if last else 0), sequence & 0xFFFF, number * 3600, 7
                )
                jpeg = struct.pack(">IBBBB", at, 1, _QUALITY, width // 8, height // 8)
                packet = rtp + jpeg + piece
                connection.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
                sequence += 1
            time.sleep(0.02)


def _scan(brightness: int, width: int, height: int) -> bytes:
    """A picture's entropy-coded data, without headers and end marker."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    data = cv2.imencode(".jpg", numbered(brightness, width, height), quality)[1].tobytes()
    found = re.search(rb"\xff\xda(..)", data, re.S)
    assert found is not None
    begin = found.start() + 2 + int.from_bytes(found[1])
    return data[begin:-2]
