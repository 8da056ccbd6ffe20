"""Access: who may do what, and what every request and answer must be like.

Takes in each request before anything else sees it: the name it was sent to, where it came from, its
size, and the session or token it brings. Refuses in one place, closed: what is not known to be
allowed is refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeface.console.invitation import Invitation
from edgeface.console.passwords import Password
from edgeface.console.sessions import Session, Sessions, Token, Tokens
from edgeface.system.upload import MOST_TOGETHER

MOST_BYTES = 64 * 1024  # of a request's body
_TIME_TO_SEND = 10.0  # seconds for a request's body
MOST_OF_UPLOAD = MOST_TOGETHER + MOST_BYTES  # of a body with pictures
_TIME_TO_UPLOAD = 120.0  # seconds
_SAFE = frozenset({"GET", "HEAD"})
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::\d{1,5})?", re.IGNORECASE)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Gate:
    """The outermost layer: names, origins and sizes; headers on every answer."""

    def __init__(
        self,
        app: ASGIApp,
        names: tuple[str, ...],
        uploads: frozenset[str] = frozenset(),
        known: Callable[[Request], bool] = lambda request: False,
    ) -> None:
        """To the paths `uploads` may pictures be sent by who is `known`; such a body is not kept
        here, but read by whom it is for."""
        self._app, self._uploads, self._known = app, uploads, known
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return

        async def send_closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await PlainTextResponse(refusal[1], refusal[0])(scope, receive, send_closed)
            return
        if scope["path"] in self._uploads and self._known(Request(scope)):
            await self._app(scope, _limited(receive), send_closed)
            return
        try:
            async with asyncio.timeout(_TIME_TO_SEND):
                body = await _body(receive)
        except TimeoutError:
            await PlainTextResponse("too slow", 408)(scope, receive, send_closed)
            return
        if body is None:
            answer = PlainTextResponse(f"a request has at most {MOST_BYTES} bytes", 413)
            await answer(scope, receive, send_closed)
            return
        await self._app(scope, _replayed(body, receive), send_closed)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._ours(host, scope):
            return 421, "this console is not called by that name; start it with --name"
        if scope["method"] not in _SAFE:
            origin = headers.get("origin")
            if origin is not None and origin != f"{scope['scheme']}://{host}":
                return 403, "this request comes from another page"
            if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return 403, "this request comes from another page"
        return None

    def _ours(self, host: str, scope: Scope) -> bool:
        """Whether a Host header names this machine: otherwise another page may have had its own
        name lead here. An address cannot be made to."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"].lower()
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name.removesuffix(".") in self._names
        if address.is_loopback:
            return True
        server = scope.get("server")
        return server is not None and _same(address, str(server[0]))


def _same(address: ipaddress.IPv4Address | ipaddress.IPv6Address, server: str) -> bool:
    try:
        own = ipaddress.ip_address(server.partition("%")[0])
    except ValueError:
        return False
    mapped = own.ipv4_mapped if isinstance(own, ipaddress.IPv6Address) else None
    return address in (own, mapped)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)  # the client has gone
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _limited(receive: Receive) -> Receive:
    """What gives the body piece by piece, and refuses more than pictures may have, or slower."""
    size, until = 0, asyncio.get_running_loop().time() + _TIME_TO_UPLOAD
    whole = False

    async def limited() -> Message:
        nonlocal size, whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, "the pictures came too slowly; send fewer at a time") from None
        whole = not message.get("more_body", False)
        size += len(message.get("body", b""))
        if size > MOST_OF_UPLOAD:
            raise HTTPException(
                413,
                f"all pictures together may have {MOST_TOGETHER // 1_000_000} MB; send fewer at a "
                "time",
            )
        return message

    return limited


def _replayed(body: bytes, receive: Receive) -> Receive:
    """What gives the body once, and then what the client does."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


class Doorkeeper:
    """Finds the session or the token of a request, and refuses what they do not allow."""

    def __init__(
        self,
        password: Password,
        invitation: Invitation,
        sessions: Sessions,
        tokens: Tokens,
        tls: bool,
    ) -> None:
        self.password, self.invitation = password, invitation
        self.sessions, self.tokens = sessions, tokens
        self.tls = tls
        # The browser itself then refuses one that another host or an unencrypted page has set.
        self.cookie = "__Host-edgeface" if tls else "edgeface"

    def session(self, request: Request) -> Session | None:
        """The session that a browser brings, if it is logged in."""
        return self.sessions.find(request.cookies.get(self.cookie), self.password.generation)

    def require_page(self, request: Request) -> Session:
        """The session of a page; 401 leads to the login. A form must bring the session's token,
        which `forged` checks."""
        session = self.session(request)
        if session is None:
            raise HTTPException(401, "log in")
        return session

    def require(self, request: Request, scope: str) -> str:
        """Whose request to the JSON interface this is, in words for the audit log; 401 and 403."""
        header = request.headers.get("authorization")
        if header is not None:
            token = self._token(header)
            if token is None:
                raise HTTPException(401, "this token is not known")
            if scope not in token.scopes:
                raise HTTPException(403, f"this token has not the scope {scope}")
            return f"console, token {token.name} from {address(request)}"
        session = self.session(request)
        if session is None:
            raise HTTPException(401, "log in, or send a token: Authorization: Bearer ...")
        if request.method not in _SAFE and session.forged(request.headers.get("x-csrf-token", "")):
            raise HTTPException(403, "the header X-CSRF-Token is missing or not this session's")
        return via(session, request)

    def knows(self, request: Request) -> bool:
        """Whether a request brings any session or token that is good."""
        header = request.headers.get("authorization")
        if header is not None:
            return self._token(header) is not None
        return self.session(request) is not None

    def _token(self, header: str) -> Token | None:
        kind, _, secret = header.partition(" ")
        return self.tokens.find(secret.strip()) if kind.lower() == "bearer" else None


def via(session: Session, request: Request) -> str:
    """Whose request of a browser this is, in words for the audit log."""
    return f"console, session {session.number} from {address(request)}"


def address(request: Request) -> str:
    """Where a request came from."""
    return request.client.host if request.client is not None else "an unknown address"


async def form(request: Request) -> dict[str, str]:
    """The fields of a form, as text, each once."""
    if request.headers.get("content-type", "").partition(";")[0] != (
        "application/x-www-form-urlencoded"
    ):
        raise HTTPException(415, "a form is sent as application/x-www-form-urlencoded")
    async with request.form(max_files=0, max_fields=20) as fields:
        found: dict[str, Any] = dict(fields)
    return {key: value for key, value in found.items() if isinstance(value, str)}
