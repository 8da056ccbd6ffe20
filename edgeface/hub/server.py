"""Server: answers doors that ask what is new for them.

Takes in requests over HTTP, each with its door's token, hands on signed packages. One address:
`GET /v1/package?has=N&base=M` is 200 with a package, 204 where there is nothing new, 400 for
numbers that are none, 401 for a token that no door has, 503 while the database cannot be asked. It
reads and writes as the door itself (row-level security) and never as the hub's owner.
"""

from __future__ import annotations

import logging
import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from edgeface.errors import EdgeFaceError
from edgeface.hub.database import connect
from edgeface.hub.keys import HubKeys
from edgeface.hub.package import HIGHEST, PATH
from edgeface.hub.publish import Publisher

_log = logging.getLogger("edgeface.hub")


def application(database: str, keys: HubKeys, days: int) -> Starlette:
    """What a server of ASGI runs."""

    def package(request: Request) -> Response:
        has, base = (_number(request.query_params.get(name)) for name in ("has", "base"))
        if has is None or base is None or base > has:
            return PlainTextResponse("has and base must be generations", 400)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            if scheme != "Bearer":
                raise PermissionError
            with connect(database) as connection:
                data = Publisher(connection, keys, time.time(), days).answer(token, has, base)
        except PermissionError:
            return PlainTextResponse("no door has this token", 401)
        except EdgeFaceError as error:
            _log.error("a door was not answered: %s", error)
            return PlainTextResponse("the hub cannot answer now", 503)
        if data is None:
            return Response(status_code=204)
        return Response(data, media_type="application/octet-stream")

    return Starlette(routes=[Route(PATH, package)])


def _number(text: str | None) -> int | None:
    """A generation; None for what is none."""
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > len(str(HIGHEST)):
        return None
    return int(text) if int(text) < HIGHEST // 2 else None
