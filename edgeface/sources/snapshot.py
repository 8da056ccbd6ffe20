"""Snapshots: a camera that sends one JPEG for each request, as doorbells and many cameras do.

Takes in the open answer of a camera, hands on its picture as a frame, then asks again for the next,
not faster than is fair to a small camera. A request that fails now and then is made again; a camera
that fails several times in a row is lost. It reads nothing that is not a JPEG.
"""

from __future__ import annotations

import http.client
import time

from edgeface.errors import PictureError
from edgeface.pipeline.pictures import decode_frame
from edgeface.sources.base import Frame, SourceLost, SourceSettings, upright
from edgeface.sources.http_client import HttpClient

JPEG = b"\xff\xd8"
LARGEST = 16 << 20  # bytes of one JPEG
_SHORTEST = 0.2  # seconds from one request to the next
_ATTEMPTS = 3


class Pace:
    """Keeps requests apart by a frame's time, and by no less than a small camera needs."""

    def __init__(self, fps: float) -> None:
        self._apart = max(1 / fps, _SHORTEST)
        self._due = time.monotonic() + self._apart

    def wait(self) -> None:
        """Wait until the next request may be made."""
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = time.monotonic() + self._apart


class Snapshots:
    """An address that is polled."""

    def __init__(
        self,
        settings: SourceSettings,
        client: HttpClient,
        response: http.client.HTTPResponse,
        pace: Pace,
    ) -> None:
        self._settings, self._client, self._pace = settings, client, pace
        self._first: http.client.HTTPResponse | None = response
        self.name = client.name

    def read(self) -> Frame:
        lost: SourceLost | None = None
        for _ in range(_ATTEMPTS):
            try:
                picture = decode_frame(self._fetch(), self.name)
            except SourceLost as error:
                lost = error
            except (OSError, http.client.HTTPException):
                lost = SourceLost(f"{self.name} stopped delivering pictures")
            except PictureError:
                lost = SourceLost(f"{self.name} delivers pictures that cannot be read")
            else:
                return Frame(upright(picture, self._settings), time.monotonic())
        raise lost or SourceLost(f"{self.name} stopped delivering pictures")

    def _fetch(self) -> bytes:
        """The next picture's bytes."""
        response, self._first = self._first, None
        if response is None:
            self._pace.wait()
            response = self._client.get()
        try:
            data = response.read(LARGEST + 1)
        finally:
            response.close()
        if not data.startswith(JPEG) or len(data) > LARGEST:
            raise SourceLost(f"{self.name} sends no JPEG; look for another address in its manual")
        return data

    def close(self) -> None:
        if self._first is not None:
            self._first.close()
