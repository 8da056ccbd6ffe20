"""HTTP client: asks a camera for its pictures over HTTP and HTTPS.

Takes in a URL, hands on the open answer to a request, whose status is 200. The certificate of an
https:// camera is checked, by the system's authorities or by one of the owner's. It follows no
redirect, sends no password in the clear where the camera offers better, and never retries. Whoever
asks again waits as long as is fair to a small camera.
"""

from __future__ import annotations

import base64
import http.client
import ssl
import time
import urllib.request
from email.message import Message

from edgeface.sources.base import SourceLost, SourceSettings, tls_context, tls_trouble
from edgeface.system.address import Address
from edgeface.system.connection import Deadline, HttpConnection

ANSWER = 5.0  # seconds for the answer, and for each picture
_SHORTEST = 0.2  # seconds from one request to the next


class HttpClient:
    """What one camera is asked with; `deadline` bounds everything that happens."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self.name = str(settings.spec)
        self._address = Address.of(settings.spec)
        secure = self._address.scheme == "https"
        self._context = tls_context(settings.ca_file) if secure else None
        self.deadline = Deadline(ANSWER)
        self._apart = max(1 / settings.fps, _SHORTEST)
        self._due = time.monotonic() + self._apart

    def get_again(self) -> http.client.HTTPResponse:
        """The next answer, a frame's time after the one before; see `get`."""
        time.sleep(max(0.0, self._due - time.monotonic()))
        self._due = time.monotonic() + self._apart
        return self.get()

    def get(self) -> http.client.HTTPResponse:
        """The answer of the camera; SourceLost, which says why there is none."""
        self.deadline.renew(ANSWER)
        response = self._request({})
        if response.status == http.client.UNAUTHORIZED:
            authorization = self._authorization(response.headers)
            response.close()
            response = self._request({"Authorization": authorization} if authorization else {})
        refusal = _refusal(response, self.name)
        if refusal is not None:
            response.close()
            raise SourceLost(refusal)
        return response

    def _request(self, headers: dict[str, str]) -> http.client.HTTPResponse:
        address = self._address
        connection = HttpConnection(address.host, address.port, self.deadline, self._context)
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


def _refusal(response: http.client.HTTPResponse, name: str) -> str | None:
    """What an answer without pictures means; None for one that may have some."""
    if 300 <= response.status < 400:
        return f"{name} leads to another address, which is not followed; write that address as spec"
    if response.status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        return f"{name} refuses its user and password; check them"
    if response.status != http.client.OK:
        return f"{name} answers with status {response.status}; check the address"
    return None


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
