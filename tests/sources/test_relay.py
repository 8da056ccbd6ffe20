"""RTSP cameras: FFmpeg reads only what comes from the camera that was named, and over TLS from a
certificate that was checked."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeface.sources import SourceLost, SourceSettings, open_source
from edgeface.sources.feed import LiveFeed
from edgeface.sources.relay import Messages, Refused, Relay
from tests.helpers.certificates import Authority
from tests.helpers.rtsp import RtspServer
from tests.helpers.service import LONG


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def servers() -> Iterator[Any]:
    made: list[RtspServer] = []

    def make(*arguments: Any, **more: Any) -> RtspServer:
        made.append(RtspServer(*arguments, **more))
        return made[-1]

    yield make
    for server in made:
        server.close()


def brightness(spec: str, ca_file: Path | None = None, count: int = 5) -> list[int]:
    source = open_source(SourceSettings(spec=spec, ca_file=str(ca_file) if ca_file else None))
    try:
        return [round(float(source.read().picture.mean())) for _ in range(count)]
    finally:
        source.close()


def test_a_camera_over_tls_is_read_with_its_user_and_password(
    authority: Authority, servers: Any
) -> None:
    server = servers(authority.server("localhost"), login="ada:p@ss/w0rd")
    seen = brightness(f"rtsps://ada:p@ss/w0rd@localhost:{server.port}/live", authority.file)
    assert seen[-1] > seen[0]
    with pytest.raises(SourceLost, match=r"rtsps://\.\.\.@localhost"):
        brightness(f"rtsps://ada:wr0ng@localhost:{server.port}/live", authority.file)


def test_one_without_tls_is_read_as_before(servers: Any) -> None:
    server = servers(login="ada:p@ss/w0rd")
    seen = brightness(f"rtsp://ada:p@ss/w0rd@127.0.0.1:{server.port}/live")
    assert seen[-1] > seen[0]


@pytest.mark.parametrize("wrong", ["system", "other authority", "other name", "no TLS"])
def test_a_camera_that_cannot_be_trusted_hears_nothing(
    authority: Authority, servers: Any, tmp_path: Path, wrong: str
) -> None:
    name = "another.example" if wrong == "other name" else "localhost"
    server = servers(None if wrong == "no TLS" else authority.server(name), login="ada:pw")
    ca_file = {"system": None, "other authority": Authority(tmp_path, "other").file}.get(
        wrong, authority.file
    )
    with pytest.raises(SourceLost, match=r"certificate of|no TLS|does not open"):
        brightness(f"rtsps://ada:pw@localhost:{server.port}/live", ca_file)
    assert not server.requests or wrong == "no TLS"
    assert server.logins == []


@pytest.mark.parametrize("other", ["rtsp", "rtsps"])
@pytest.mark.parametrize("scheme", ["rtsp", "rtsps"])
def test_a_redirect_is_not_followed(
    authority: Authority, servers: Any, scheme: str, other: str
) -> None:
    elsewhere = servers(authority.server("127.0.0.1") if other == "rtsps" else None)
    away = f"{other}://127.0.0.1:{elsewhere.port}/live"
    tls = authority.server("localhost") if scheme == "rtsps" else None
    server = servers(tls, redirect=away)
    with pytest.raises(SourceLost, match="leads to another address, which is not followed"):
        brightness(f"{scheme}://localhost:{server.port}/live", authority.file if tls else None)
    assert elsewhere.requests == []


@pytest.mark.parametrize("sizes", [((96, 64), (192, 128)), ((192, 128), (96, 64))])
def test_pictures_of_another_size_are_seen_and_no_old_one_is_seen_again(
    servers: Any, sizes: tuple[tuple[int, int], ...]
) -> None:
    """Before, with OpenCV 4: the last picture of the first size for ever, or half of it."""
    server = servers(sizes=sizes)
    settings = SourceSettings(spec=f"rtsp://127.0.0.1:{server.port}/live")
    width, height = sizes[-1]
    changed: list[np.ndarray] = []
    with LiveFeed(settings) as feed:
        until = time.monotonic() + LONG
        while len(changed) < 5 and time.monotonic() < until:
            frame = feed.next(1.0)
            if frame is not None and frame.picture.shape == (height, width, 3):
                changed.append(frame.picture.copy())
        told = [notice.message for notice in feed.notices() if notice.lost]
    assert len({round(float(picture.mean())) for picture in changed}) >= 3  # it goes on
    assert all(picture.std() < 3 for picture in changed)  # each is of one moment
    assert len(told) <= 1  # OpenCV 5 needs no other connection
    assert all("its pictures have another size now" in message for message in told)


def _packet(kind: int, payload: bytes) -> bytes:
    rtp = b"\x80" + bytes([kind]) + bytes(10) + payload
    return b"$\0" + len(rtp).to_bytes(2) + rtp


def _described(codec: bytes) -> bytes:
    body = b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 " + codec + b"/90000\r\n"
    return b"RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("codec", "unit", "other", "several"),
    [
        (b"H264", b"\x67\x64\x00\x1f", b"\x67\x64\x00\x28", b"\x78"),
        (b"H265", b"\x42\x01\x01\x01", b"\x42\x01\x01\x02", b"\x60\x01"),
    ],
)
def test_another_size_is_noticed_where_a_video_says_it(
    codec: bytes, unit: bytes, other: bytes, several: bytes
) -> None:
    def together(each: bytes) -> bytes:
        return several + b"\0\x04" + each + b"\0\x02\x68\x01"

    picture = b"\x02\x01" + bytes(3000)
    same = [unit, picture, together(unit), picture, b"", b"\x78\xff"]
    for first, second in ((unit, other), (unit, together(other)), (together(unit), other)):
        messages = Messages(one_size=True)
        messages.passed(_described(codec) + _packet(96, first))
        for payload in same:
            packet = _packet(96, payload)
            assert messages.passed(packet) == packet
        with pytest.raises(Refused, match="another size"):
            messages.passed(_packet(96, second))


def test_nobody_else_gets_through_the_relay(authority: Authority, servers: Any) -> None:
    import ssl

    server = servers(authority.server("localhost"))
    context = ssl.create_default_context(cafile=authority.file)
    with Relay("localhost", server.port, context) as relay:
        host, _, port = relay.place.partition(":")
        assert host == "127.0.0.1"
        first = socket.create_connection((host, int(port)))
        first.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        assert first.recv(100).startswith(b"RTSP/1.0 200")
        with socket.create_connection((host, int(port))) as second:
            second.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            second.settimeout(0.5)
            with pytest.raises(TimeoutError):
                second.recv(100)
        first.close()


STREAM = (
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 9\r\n\r\nRTSP/1.0 "
    b"$\0\0\x0cRTSP/1.0 302"
    b"\r\nRTSP/1.0 200 OK\r\ncontent-length:0\r\n\r\n$\1\0\0"
)


def passed(data: bytes, cuts: random.Random) -> bytes:
    messages, told = Messages(), b""
    while data:
        count = cuts.randint(1, 9)
        told += messages.passed(data[:count])
        data = data[count:]
    return told


def test_what_is_no_redirect_passes_however_it_is_cut() -> None:
    for seed in range(200):
        assert passed(STREAM, random.Random(seed)) == STREAM


@pytest.mark.parametrize(
    "last",
    [
        b"RTSP/1.0 302 Found\r\nLocation: rtsp://other/\r\n\r\n",
        b"RTSP/2.0 301 Moved\r\n\r\n",
        b"REDIRECT rtsp://cam/ RTSP/1.0\r\nLocation: rtsp://other/\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"x" * 70_000,
    ],
)
def test_a_redirect_is_noticed_however_it_is_cut(last: bytes) -> None:
    for seed in range(20 if len(last) < 1000 else 1):
        with pytest.raises(Refused):
            passed(STREAM + last, random.Random(seed))
