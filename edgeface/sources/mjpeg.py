"""MJPEG over HTTP and HTTPS: a camera that sends one JPEG after the other.

Takes in a URL, hands on frames. The certificate of an https:// camera is checked, by the system's
authorities or by one of the owner's. It follows no redirect, opens no playlist and reads nothing
that is not a JPEG, so that a camera can lead it nowhere. It never retries: the feed does.
"""

from __future__ import annotations

import base64
import http.client
import re
import ssl
import time
import urllib.request
from email.message import Message

from edgeface.errors import PictureError
from edgeface.pipeline.pictures import decode_frame
from edgeface.sources.base import (
    Frame,
    SourceLost,
    SourceSettings,
    tls_context,
    tls_trouble,
    upright,
)
from edgeface.system.address import Address
from edgeface.system.connection import Deadline, HttpConnection

_ANSWER = 5.0  # seconds for the answer, and for each picture
_LARGEST_PART = 16 << 20  # bytes of one JPEG
_LONGEST_LINE = 8192
_MOST_LINES = 100  # between two pictures
_MOST_DAMAGED = 25  # pictures in a row
_JPEG = b"\xff\xd8"


class Mjpeg:
    """An open stream."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self.name = str(settings.spec)
        self._address = Address.of(settings.spec)
        secure = self._address.scheme == "https"
        self._context = tls_context(settings.ca_file) if secure else None
        self._deadline = Deadline(_ANSWER)
        response = self._get({})
        if response.status == http.client.UNAUTHORIZED:
            authorization = self._authorization(response.headers)
            response.close()
            response = self._get({"Authorization": authorization} if authorization else {})
        try:
            self._parts = _Parts(response, _boundary(response, self.name))
        except SourceLost:
            response.close()
            raise
        self._response = response

    def read(self) -> Frame:
        for _ in range(_MOST_DAMAGED):
            self._deadline.renew(_ANSWER)
            try:
                data = self._parts.next()
            except (OSError, http.client.HTTPException, _NoStream):
                raise SourceLost(f"{self.name} stopped delivering pictures") from None
            try:
                if data.startswith(_JPEG):
                    return Frame(
                        upright(decode_frame(data, self.name), self._settings), time.monotonic()
                    )
            except PictureError:
                continue  # damaged on its way: the next one is a moment away
        raise SourceLost(f"{self.name} delivers pictures that cannot be read")

    def close(self) -> None:
        self._response.close()

    def _get(self, headers: dict[str, str]) -> http.client.HTTPResponse:
        address = self._address
        connection = HttpConnection(address.host, address.port, self._deadline, self._context)
        target = address.target.open()
        try:
            connection.request(
                "GET", target if target.startswith("/") else f"/{target}", None, headers
            )
            response = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.abort()
            raise SourceLost(_no_answer(self.name, error)) from None
        connection.close()  # once the response is closed, too
        return response

    def _authorization(self, asked: Message) -> str | None:
        """The answer to a 401, by the best way that the camera offers; None without a login."""
        login = self._settings.login()
        ways: dict[str, str] = {}
        for header in asked.get_all("WWW-Authenticate", []):
            way, _, rest = header.partition(" ")
            ways.setdefault(way.lower(), rest)
        if login is None:
            return None
        if "digest" in ways:
            return _digest(login, ways["digest"], self._address)
        return f"Basic {base64.b64encode(':'.join(login).encode()).decode()}"


class _NoStream(Exception):
    """What comes is not as it should be."""


class _Parts:
    """The parts of a multipart answer, one by one."""

    def __init__(self, response: http.client.HTTPResponse, boundary: bytes) -> None:
        self._response, self._boundary = response, boundary
        self._buffer = bytearray()

    def next(self) -> bytes:
        """The next part's content; _NoStream when what comes is none, or too much."""
        for _ in range(_MOST_LINES):
            if self._line().startswith(self._boundary):
                break
        else:
            raise _NoStream
        length = None
        for _ in range(_MOST_LINES):
            name, _, value = self._line().partition(b":")
            if not name.strip():
                return self._until_boundary() if length is None else self._take(length)
            if name.strip().lower() == b"content-length":
                length = int(value) if value.strip().isdigit() else _LARGEST_PART + 1
        raise _NoStream

    def _line(self) -> bytes:
        end = self._find(b"\n", _LONGEST_LINE)
        return self._take(end + 1).strip()

    def _until_boundary(self) -> bytes:
        end = self._find(b"\n" + self._boundary, _LARGEST_PART)
        return self._take(end + 1)

    def _find(self, mark: bytes, most: int) -> int:
        """Where the mark stands, reading on until it has come."""
        begin = 0
        while (at := self._buffer.find(mark, begin)) < 0:
            begin = max(0, len(self._buffer) - len(mark) + 1)
            if len(self._buffer) > most:
                raise _NoStream
            self._read_on()
        return at

    def _take(self, count: int) -> bytes:
        if count > _LARGEST_PART:
            raise _NoStream
        while len(self._buffer) < count:
            self._read_on()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _read_on(self) -> None:
        data = self._response.read1(65536)
        if not data:
            raise _NoStream
        self._buffer += data


def _boundary(response: http.client.HTTPResponse, name: str) -> bytes:
    """What stands between two parts; SourceLost if the answer is no stream of pictures."""
    if 300 <= response.status < 400:
        raise SourceLost(
            f"{name} leads to another address, which is not followed; write that address as spec"
        )
    if response.status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        raise SourceLost(f"{name} refuses its user and password; check them")
    if response.status != http.client.OK:
        raise SourceLost(f"{name} answers with status {response.status}; check the address")
    kind = response.headers.get_content_type()
    boundary = response.headers.get_boundary()
    if not kind.startswith("multipart/") or not boundary:
        raise SourceLost(
            f"{name} is no MJPEG stream; look in the camera's manual for the address of one, or "
            "for one that begins with rtsp://"
        )
    # Some cameras write the dashes that belong before it into the name itself.
    return b"--" + re.sub(r"^--", "", boundary).encode("latin-1", "replace")


def _no_answer(name: str, error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return tls_trouble(name, error)
    return f"the stream {name} does not open; check the address and that its server runs"


class _Login(urllib.request.HTTPPasswordMgr):
    """What urllib asks for a user and password."""

    def __init__(self, login: tuple[str, str]) -> None:
        super().__init__()
        self._login = login

    def find_user_password(self, realm: str, authuri: str) -> tuple[str | None, str | None]:
        return self._login


def _digest(login: tuple[str, str], asked: str, address: Address) -> str | None:
    """The header for a digest challenge (RFC 7616), computed by urllib; None if it cannot."""
    handler = urllib.request.HTTPDigestAuthHandler(_Login(login))
    request = urllib.request.Request(  # noqa: S310 (it is not sent, only computed with)
        f"{address.scheme}://{address.place}{address.target.open() or '/'}"
    )
    try:
        challenge = urllib.request.parse_keqv_list(urllib.request.parse_http_list(asked))
        answer = handler.get_authorization(request, challenge)
    except ValueError:
        return None
    return f"Digest {answer}" if answer else None
