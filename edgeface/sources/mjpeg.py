"""MJPEG over HTTP and HTTPS: a camera that sends one JPEG after the other.

Takes in the open answer of a camera, hands on frames. It opens no playlist and reads nothing that
is not a JPEG, so that a camera can lead it nowhere. A stream that ends after its pictures is asked
for once more, as cameras that send one picture at a time want it. Whatever else is wrong, it never
retries: the feed does.
"""

from __future__ import annotations

import http.client
import re
import time

from edgeface.errors import PictureError
from edgeface.pipeline.pictures import decode_picture
from edgeface.sources.base import Frame, SourceLost, SourceSettings, upright
from edgeface.sources.http_client import ANSWER, HttpClient
from edgeface.sources.snapshot import JPEG, LARGEST, Snapshots

_LONGEST_LINE = 8192
_MOST_LINES = 100  # between two pictures
_MOST_DAMAGED = 25  # pictures in a row


def open_http(settings: SourceSettings) -> Mjpeg | Snapshots:
    """A camera by its http:// or https:// address: a stream of pictures, or one picture that is
    asked for again and again, whichever it sends."""
    client = HttpClient(settings)
    response = client.get()
    if response.headers.get_content_type() in ("image/jpeg", "image/jpg", "image/pjpeg"):
        return Snapshots(settings, client, response)
    return Mjpeg(settings, client, response)


class Mjpeg:
    """An open stream."""

    def __init__(
        self, settings: SourceSettings, client: HttpClient, response: http.client.HTTPResponse
    ) -> None:
        self._settings, self._client = settings, client
        self.name = client.name
        self._use(response)

    def _use(self, response: http.client.HTTPResponse) -> None:
        try:
            self._parts = _Parts(response, _boundary(response, self.name))
        except SourceLost:
            response.close()
            raise
        self._response = response
        self._given = 0  # pictures of this answer

    def read(self) -> Frame:
        for _ in range(_MOST_DAMAGED):
            data = self._next()
            try:
                if data.startswith(JPEG):
                    picture = decode_picture(data, self.name, of_stream=True)
                    self._given += 1
                    return Frame(upright(picture, self._settings), time.monotonic())
            except PictureError:
                continue  # damaged on its way: the next one is a moment away
        raise SourceLost(f"{self.name} delivers pictures that cannot be read")

    def _next(self) -> bytes:
        """The next part's content, of the next answer where this one has ended."""
        self._client.deadline.renew(ANSWER)
        try:
            return self._parts.next()
        except _Ended:
            if not self._given:
                raise self._lost() from None
        except (OSError, http.client.HTTPException, _NoStream):
            raise self._lost() from None
        self._response.close()
        self._use(self._client.get_again())
        try:
            return self._parts.next()
        except (OSError, http.client.HTTPException, _NoStream):
            raise self._lost() from None

    def _lost(self) -> SourceLost:
        return SourceLost(f"{self.name} stopped delivering pictures")

    def close(self) -> None:
        self._response.close()


class _NoStream(Exception):
    """What comes is not as it should be."""


class _Ended(_NoStream):
    """Nothing comes any more."""


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
                length = int(value) if value.strip().isdigit() else LARGEST + 1
        raise _NoStream

    def _line(self) -> bytes:
        end = self._find(b"\n", _LONGEST_LINE)
        return self._take(end + 1).strip()

    def _until_boundary(self) -> bytes:
        end = self._find(b"\n" + self._boundary, LARGEST)
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
        if count > LARGEST:
            raise _NoStream
        while len(self._buffer) < count:
            self._read_on()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _read_on(self) -> None:
        data = self._response.read1(65536)
        if not data:
            raise _Ended
        self._buffer += data


def _boundary(response: http.client.HTTPResponse, name: str) -> bytes:
    """What stands between two parts; SourceLost if the answer is no stream of pictures."""
    kind = response.headers.get_content_type()
    boundary = response.headers.get_boundary()
    if not kind.startswith("multipart/") or not boundary:
        raise SourceLost(
            f"{name} is no MJPEG stream and no JPEG; look in the camera's manual for the address "
            "of one, or for one that begins with rtsp://"
        )
    # Some cameras write the dashes that belong before it into the name itself.
    return b"--" + re.sub(r"^--", "", boundary).encode("latin-1", "replace")
