"""Snapshots: a camera that sends one JPEG for each request, as doorbells and many cameras do.

Takes in the open answer of a camera, hands on its picture as a frame, then asks again for the next.
A request that fails now and then is made again; a camera that fails several times in a row is lost.
It reads nothing that is not a JPEG.
"""

from __future__ import annotations

import http.client
import time

from edgeface.errors import PictureError
from edgeface.pipeline.pictures import decode_picture
from edgeface.sources.base import Frame, SourceLost, SourceSettings, upright
from edgeface.sources.http_client import HttpClient

JPEG = b"\xff\xd8"
LARGEST = 16 << 20  # bytes of one JPEG
_ATTEMPTS = 3


class Snapshots:
    """An address that is polled."""

    def __init__(
        self, settings: SourceSettings, client: HttpClient, response: http.client.HTTPResponse
    ) -> None:
        self._settings, self._client = settings, client
        self._first: http.client.HTTPResponse | None = response
        self.name = client.name

    def read(self) -> Frame:
        lost: SourceLost | None = None
        for _ in range(_ATTEMPTS):
            try:
                picture = decode_picture(self._fetch(), self.name, of_stream=True)
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
            response = self._client.get_again()
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
