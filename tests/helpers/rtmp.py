"""An RTMP server with one stream, in as much of the protocol as a player needs.

Takes in a Flash video file, hands on the address of a server that plays it again and again at its
own speed, and the paths that were asked for. Written from Adobe's specification 1.0.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_HANDSHAKE = 1536
_COMMAND, _DATA, _VIDEO, _CHUNK_SIZE = 20, 18, 9, 1
_STARTED = {"level": "status", "code": "NetStream.Play.Start", "description": "started"}
_CONNECTED = {"level": "status", "code": "NetConnection.Connect.Success"}


def _amf(value: object) -> bytes:
    """A value in AMF 0."""
    if isinstance(value, str):
        return b"\x02" + struct.pack(">H", len(value)) + value.encode()
    if isinstance(value, dict):
        pairs = (
            struct.pack(">H", len(key)) + key.encode() + _amf(kept) for key, kept in value.items()
        )
        return b"\x03" + b"".join(pairs) + b"\x00\x00\x09"
    return b"\x05" if value is None else b"\x00" + struct.pack(">d", value)


def _tags(flv: bytes) -> list[tuple[int, bytes]]:
    """The video messages of a file, each with its time in milliseconds."""
    found, place = [], 13
    while place + 11 <= len(flv):
        size = int.from_bytes(flv[place + 1 : place + 4], "big")
        when = int.from_bytes(flv[place + 4 : place + 7], "big")
        if flv[place] == _VIDEO:
            found.append((when, flv[place + 11 : place + 11 + size]))
        place += 11 + size + 4
    return found


class RtmpServer:
    """Plays a file to whoever asks, on a port of its own, until it is closed."""

    def __init__(self, flv: Path) -> None:
        self._video = _tags(flv.read_bytes())
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._players: list[socket.socket] = []
        self.url = f"rtmp://127.0.0.1:{self._listener.getsockname()[1]}/door/live"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for each in (self._listener, *self._players):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                player = self._listener.accept()[0]
                self._players.append(player)
                threading.Thread(target=self._serve, args=(player,), daemon=True).start()

    def _serve(self, player: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            reader = player.makefile("rb")
            hello = _exactly(reader, 1 + _HANDSHAKE)[1:]
            player.sendall(b"\x03" + bytes(_HANDSHAKE) + hello)
            _exactly(reader, _HANDSHAKE)
            player.sendall(_message(_CHUNK_SIZE, struct.pack(">I", 1 << 20)))
            for body in _commands(reader):
                name = body[3 : 3 + body[2]].decode()
                turn = struct.unpack(">d", body[4 + body[2] : 12 + body[2]])[0]
                if name == "connect":
                    answer = [_amf(each) for each in ("_result", turn, {}, _CONNECTED)]
                    player.sendall(_message(_COMMAND, b"".join(answer)))
                elif name == "createStream":
                    answer = [_amf(each) for each in ("_result", turn, None, 1)]
                    player.sendall(_message(_COMMAND, b"".join(answer)))
                elif name == "play":
                    answer = [_amf(each) for each in ("onStatus", 0, None, _STARTED)]
                    player.sendall(_message(_COMMAND, b"".join(answer), stream=1))
                    self._play(player)

    def _play(self, player: socket.socket) -> None:
        # That there is no sound: a player would wait five seconds for some.
        about = _amf("onMetaData") + b"\x08\0\0\0\1" + _amf({"videocodecid": 2})[1:]
        player.sendall(_message(_DATA, about, stream=1))
        begun, offset = time.monotonic(), 0
        while True:
            for when, body in self._video:
                time.sleep(max(0.0, begun + (offset + when) / 1000 - time.monotonic()))
                player.sendall(_message(_VIDEO, body, when=offset + when, stream=1))
            offset += self._video[-1][0] + 40


def _exactly(reader: IO[bytes], count: int) -> bytes:
    data = reader.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _message(kind: int, body: bytes, *, when: int = 0, stream: int = 0) -> bytes:
    """A message in one chunk."""
    head = when.to_bytes(3, "big") + len(body).to_bytes(3, "big") + bytes([kind])
    return b"\x03" + head + stream.to_bytes(4, "little") + body


def _commands(reader: IO[bytes]) -> Iterator[bytes]:
    """The commands that a player sends; other messages are read over."""
    most = 128  # bytes of a chunk
    lengths: dict[int, int] = {}
    kinds: dict[int, int] = {}
    bodies: dict[int, bytes] = {}
    while True:
        first = _exactly(reader, 1)[0]
        form, channel = first >> 6, first & 63
        if form < 3:
            head = _exactly(reader, (11, 7, 3)[form])
            if form < 2:
                lengths[channel] = int.from_bytes(head[3:6], "big")
                kinds[channel] = head[6]
        body = bodies.setdefault(channel, b"")
        body += _exactly(reader, min(most, lengths[channel] - len(body)))
        bodies[channel] = body
        if len(body) == lengths[channel]:
            del bodies[channel]
            if kinds[channel] == _CHUNK_SIZE:
                most = int.from_bytes(body, "big")
            elif kinds[channel] == _COMMAND:
                yield body
