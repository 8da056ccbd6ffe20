"""MJPEG cameras over HTTP and HTTPS: trusted by their certificate, led nowhere, bounded."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import cv2
import pytest

from edgeface.errors import ConfigError
from edgeface.service.config import load_config
from edgeface.sources import SourceLost, SourceSettings, open_source
from tests.helpers.sources import Camera, MjpegServer, Respond, jpeg, numbered, part, parts


def brightness(url: str, count: int) -> list[int]:
    source = open_source(SourceSettings(spec=url))
    try:
        return [round(float(source.read().picture.mean())) for _ in range(count)]
    finally:
        source.close()


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("boundary", ["frame", "--frame"])
def test_the_pictures_of_a_stream_come_one_by_one(
    camera: Callable[[Respond], Camera], length: bool, boundary: str
) -> None:
    stream = [part(jpeg(number), length) for number in (10, 60, 110)]
    url = camera(parts(*stream, b"--frame--\r\n", boundary=boundary)).url
    assert brightness(url, 3) == [10, 60, 110]


def test_a_damaged_picture_is_left_out(camera: Callable[[Respond], Camera]) -> None:
    png = cv2.imencode(".png", numbered(200))[1].tobytes()
    stream = [part(jpeg(10)), part(jpeg(60)[:-40]), part(b"text"), part(png), part(jpeg(110))]
    assert brightness(camera(parts(*stream)).url, 2) == [10, 110]


@pytest.mark.parametrize(
    "written",
    [
        part(b"text") * 30,
        b"--frame\r\nContent-Length: 99999999999\r\n\r\n" + bytes(1000),
        b"--frame\r\nContent-Length: -5\r\n\r\n" + bytes(1000),
        b"x" * 100_000,
        b"line\r\n" * 1000,
        b"--frame\r\n\r\n" + bytes(17 << 20),
        b"",
    ],
)
def test_a_stream_of_nonsense_is_lost_and_not_kept(
    camera: Callable[[Respond], Camera], written: bytes
) -> None:
    with pytest.raises(SourceLost, match=r"stopped delivering|cannot be read"):
        brightness(camera(parts(written)).url, 1)


def test_a_camera_that_drips_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeface.sources.http_client.ANSWER", 0.5)
    stopped = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listener.accept()
        connection.sendall(b"HTTP/1.0 200 OK\r\n")
        while not stopped.wait(0.1):
            connection.sendall(b"X: y\r\n")

    threading.Thread(target=drip, daemon=True).start()
    with pytest.raises(SourceLost, match="does not open"):
        brightness(f"http://127.0.0.1:{listener.getsockname()[1]}/", 1)
    stopped.set()
    listener.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(camera: Callable[[Respond], Camera], status: int) -> None:
    other = camera(parts(part(jpeg(10))))

    def lead_away(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", other.url)
        handler.end_headers()

    with pytest.raises(SourceLost, match="not followed"):
        brightness(camera(lead_away).url, 1)
    assert other.requests == 0


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/vnd.apple.mpegurl", b"#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"),
        ("text/plain", b"ffconcat version 1.0\nfile {}\n"),
        ("video/mp4", b"#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"),
        ("image/jpeg", b"#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"),
    ],
)
def test_a_playlist_is_not_followed(
    camera: Callable[[Respond], Camera], kind: str, body: bytes
) -> None:
    other = camera(parts(part(jpeg(10))))

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.end_headers()
        handler.wfile.write(body.replace(b"{}", other.url.encode()))

    with pytest.raises(SourceLost, match=r"is no MJPEG stream|sends no JPEG"):
        brightness(camera(answer).url, 1)
    assert other.requests == 0


def test_a_camera_that_asks_for_digest_gets_no_password_in_the_clear(
    camera: Callable[[Respond], Camera],
) -> None:
    sent: list[str] = []

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 (as RFC 7616 has it)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        given = handler.headers.get("Authorization", "")
        sent.append(given)
        found = dict(re.findall(r'(\w+)="?([^",]*)"?', given))
        first = md5("ada:cam:p@ss/w0rd")
        second = md5(f"GET:{handler.path}")
        rest = ":".join(found.get(key, "") for key in ("nonce", "nc", "cnonce", "qop"))
        if found.get("response") == md5(f"{first}:{rest}:{second}"):
            parts(part(jpeg(10)))(handler)
            return
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", 'Basic realm="cam"')
        handler.send_header("WWW-Authenticate", 'Digest realm="cam", qop="auth", nonce="abc"')
        handler.end_headers()

    url = camera(answer).url
    assert brightness(url.replace("://", "://ada:p@ss/w0rd@"), 1) == [10]
    with pytest.raises(SourceLost, match="refuses its user and password"):
        brightness(url.replace("://", "://ada:wr0ng@"), 1)
    with pytest.raises(SourceLost, match="refuses its user and password"):
        brightness(url, 1)
    assert not any("Basic" in given or "p@ss" in given for given in sent)


def test_an_https_camera_is_trusted_by_its_certificate_alone(tmp_path: Path) -> None:
    from tests.helpers.certificates import Authority

    ours, other = Authority(tmp_path), Authority(tmp_path, "other")
    server = MjpegServer(context=ours.server("localhost"), name="localhost", login="ada:pw")
    wrong_name = MjpegServer(context=ours.server("another.example"), name="localhost")
    file = tmp_path / "s.toml"

    def first(url: str, ca: Path | None) -> float:
        authority = f'ca_file = "{ca}"\n' if ca else ""
        file.write_text(f'[source]\nspec = "{url}"\n{authority}')
        source = open_source(load_config(file).source)
        try:
            return float(source.read().picture.mean())
        finally:
            source.close()

    url = server.url.replace("://", "://ada:pw@")
    assert first(url, ours.file) < 200
    for ca in (None, other.file):  # the system's authorities do not know ours
        with pytest.raises(SourceLost, match=r"certificate of https://\.\.\.@localhost.*ca_file"):
            first(url, ca)
    with pytest.raises(SourceLost, match="not accepted"):
        first(wrong_name.url, ours.file)
    with pytest.raises(ConfigError, match=r"source\.ca_file"):
        first(url, tmp_path / "missing.pem")
    file.write_text("[source")
    with pytest.raises(ConfigError, match=r"source\.ca_file"):
        first(url, file)
    for spec in ("http://cam/", "rtsp://cam/", "0"):
        with pytest.raises(ConfigError, match="ca_file is for cameras"):
            first(spec, ours.file)
    server.cut()
    wrong_name.cut()
