"""What the tests of sources share: pictures with a number in them, and cameras over HTTP."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np


def numbered(number: int, width: int = 96, height: int = 64) -> np.ndarray:
    """A picture whose brightness is `number`, so that frames can be told apart."""
    return np.full((height, width, 3), number, np.uint8)


def write_video(path: Path, frames: int, fps: float = 25.0) -> Path:
    """An MJPG file of frames 0, 10, 20, ... in brightness."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (96, 64))
    for number in range(frames):
        writer.write(numbered(number * 10 % 250))
    writer.release()
    return path


class MjpegServer:
    """Serves a counter as MJPEG over HTTP on a port of its own, can be cut and restored."""

    def __init__(
        self,
        port: int = 0,
        login: str | None = None,
        context: ssl.SSLContext | None = None,
        name: str = "127.0.0.1",
    ) -> None:
        """`login`: user and password that a client must give by Basic authentication; `context`:
        for TLS, as the host `name`."""
        served = self
        wanted = "Basic " + base64.b64encode((login or "").encode()).decode()
        self.clients: list[socket.socket] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if login is not None and self.headers["Authorization"] != wanted:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                served.clients.append(self.connection)
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    for number in range(1_000_000):
                        data = cv2.imencode(".jpg", numbered(number % 200))[1].tobytes()
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
                        self.wfile.write(head.encode() + b"\r\n\r\n" + data + b"\r\n")
                        time.sleep(0.01)
                except OSError:
                    pass

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        if context is not None:
            plain = self._server.socket
            self._server.socket = context.wrap_socket(
                plain, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"http{'s' if context else ''}://{name}:{self.port}/stream.mjpg"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        self._server.shutdown()
        self._server.server_close()
        for client in self.clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


Respond = Callable[[BaseHTTPRequestHandler], None]


def jpeg(number: int) -> bytes:
    return cv2.imencode(".jpg", numbered(number))[1].tobytes()


class Camera:
    """Answers each request as the test says, and counts them."""

    def __init__(self, respond: Respond) -> None:
        camera = self
        self.requests = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.requests += 1
                respond(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/live?channel=1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def parts(*written: bytes, boundary: str = "frame", kind: str = "x-mixed-replace") -> Respond:
    """Answers with a stream of what is `written`, then ends."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", f"multipart/{kind}; boundary={boundary}")
        handler.end_headers()
        for part in written:
            handler.wfile.write(part)

    return respond


def part(data: bytes, length: bool = True, boundary: bytes = b"--frame") -> bytes:
    head = b"Content-Length: %d\r\n" % len(data) if length else b""
    return boundary + b"\r\nContent-Type: image/jpeg\r\n" + head + b"\r\n" + data + b"\r\n"
