"""Relay: lets FFmpeg read an RTSP camera that leads nowhere else and whose certificate is checked.

Takes in a connection to a camera, hands on a port of this machine's loopback that FFmpeg connects
to. FFmpeg itself follows redirects, checks no certificate of an rtsps:// stream in its older
versions and no name in any. What the camera sends is followed message by message, and a redirect
ends it.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import threading

from edgeface.sources.picture_size import LOOKED_AT, PictureSize
from edgeface.system.closing import Closing
from edgeface.system.connection import Deadline, connect
from edgeface.system.threads import Worker

_ANSWER = 5.0  # seconds for the camera to answer, and for FFmpeg to come
_TICK = 0.25
_PIECE = 65536
_LONGEST_HEAD = 65536  # bytes of a message's head
_LARGEST_BODY = 1 << 20
_SEEN = 1 << 17  # bytes of a message: the head and the description of the session
_STATUS = re.compile(rb"RTSP/\d\.\d (\d{3})")
_LENGTH = re.compile(rb"(?im)^content-length:\s*(\d{1,8})\s*$")


class Refused(Exception):
    """The camera sent what is not passed on; the text says what."""


class Relay(Closing):
    """One connection to one camera, for one reader."""

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext | None, *, one_size: bool = False
    ) -> None:
        """Over TLS where there is a `context`; with `one_size` it ends where the pictures' size
        changes. Raises OSError, ssl.SSLError among them, when there is no trustworthy connection.
        """
        self.trouble: str | None = None
        self._one_size = one_size
        self._camera = connect(host, port, Deadline(_ANSWER), context)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self._listener.settimeout(_ANSWER)
        self.place = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._worker = Worker("relay", self._run)

    def close(self) -> None:
        """End both connections."""
        self._worker.close(0)
        for each in (self._listener, self._camera):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._worker.close()
        self._listener.close()
        self._camera.close()

    def _run(self, stopping: threading.Event) -> None:
        with contextlib.suppress(OSError):
            reader, _ = self._listener.accept()  # the first one; who comes later waits in vain
            with reader, self._camera:
                try:
                    self._pass_on(reader, stopping)
                except Refused as refusal:
                    self.trouble = str(refusal)

    def _pass_on(self, reader: socket.socket, stopping: threading.Event) -> None:
        messages = Messages(one_size=self._one_size)
        reader.settimeout(_ANSWER)
        while not stopping.is_set():
            waiting = isinstance(self._camera, ssl.SSLSocket) and self._camera.pending()
            ready = select.select([reader, self._camera], [], [], 0 if waiting else _TICK)[0]
            if reader in ready:
                asked = reader.recv(_PIECE)
                if not asked:
                    return
                self._camera.settimeout(_ANSWER)
                self._camera.sendall(asked)
            if waiting or self._camera in ready:
                data = self._received()
                if data is None:
                    continue
                if not data:
                    return
                reader.sendall(messages.passed(data))

    def _received(self) -> bytes | None:
        """What the camera has sent; None if that was TLS's own, a key or half a record."""
        self._camera.settimeout(0)
        try:
            return self._camera.recv(_PIECE)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None


class Messages:
    """What a camera sends, cut into messages and media packets (RFC 2326, sections 4 and 10.12)."""

    def __init__(self, *, one_size: bool = False) -> None:
        """`one_size`: pictures that have another size than the first ones are not passed."""
        self._buffer = bytearray()
        self._size = PictureSize() if one_size else None

    def passed(self, data: bytes) -> bytes:
        """What is complete now; Refused when it would lead elsewhere, or is no RTSP."""
        self._buffer += data
        end = 0
        while (length := self._length(end)) and end + length <= len(self._buffer):
            if self._size is not None:
                self._see(self._size, bytes(self._buffer[end : end + min(length, _SEEN)]))
            end += length
        whole = bytes(self._buffer[:end])
        del self._buffer[:end]
        return whole

    @staticmethod
    def _see(size: PictureSize, piece: bytes) -> None:
        if not piece.startswith(b"$"):
            size.described(piece)
        elif size.changes_with(piece[:LOOKED_AT]):
            raise Refused("its pictures have another size now")

    def _length(self, at: int) -> int:
        """Of the message or packet that begins there; 0 while it is not known."""
        buffer = self._buffer
        if at + 4 > len(buffer):
            return 0
        if buffer[at] == 0x24:  # "$": a packet of media, with its length
            return 4 + int.from_bytes(buffer[at + 2 : at + 4])
        if buffer[at : at + 2] == b"\r\n":
            return 2
        end = buffer.find(b"\r\n\r\n", at)
        if end < 0:
            if len(buffer) - at > _LONGEST_HEAD:
                raise Refused("it does not speak RTSP")
            return 0
        head = bytes(buffer[at : end + 2])
        self._check(head)
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if length > _LARGEST_BODY:
            raise Refused("it does not speak RTSP")
        return end + 4 - at + length

    @staticmethod
    def _check(head: bytes) -> None:
        status = _STATUS.match(head)
        if (status and status[1].startswith(b"3")) or head.startswith(b"REDIRECT "):
            raise Refused("it leads to another address, which is not followed")
