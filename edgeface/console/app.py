"""App: puts pages, JSON interface and access together into one ASGI application.

Takes in the options, hands on the application; errors become a page for a browser and an object
for a program, and say nothing that the reader may not know.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from edgeface.console.access import Doorkeeper, Gate
from edgeface.console.api import ROOT, Api, answer
from edgeface.console.errors import Busy, ConsoleError, Refused, ServiceAway, WrongQuery
from edgeface.console.interface import Interface
from edgeface.console.invitation import Invitation
from edgeface.console.languages import InTheirLanguage
from edgeface.console.options import ConsoleOptions
from edgeface.console.pages import Pages
from edgeface.console.passwords import Password, Throttle
from edgeface.console.sessions import Sessions, Tokens
from edgeface.console.uploads import UPLOADS
from edgeface.errors import EdgeFaceError
from edgeface.history.store import HistoryError

_log = logging.getLogger("edgeface.console")
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    *((WrongQuery, 400), (Refused, 409), (Busy, 409), (HistoryError, 404), (ServiceAway, 503)),
)


def build(
    options: ConsoleOptions,
    clock: Callable[[], float] = time.time,
    ticks: Callable[[], float] = time.monotonic,
) -> ASGIApp:
    """The application. `clock` dates sessions and links, `ticks` counts the seconds of who
    guesses."""
    tls = options.lan
    door = Doorkeeper(
        Password(options.state),
        Invitation(options.state, clock),
        Sessions(clock),
        Tokens(options.state),
        tls,
    )
    interface = Interface(options)
    pages = Pages(interface, door, Throttle(ticks), options.version)

    def failed(request: Request, status: int, sentence: str) -> Response:
        path = request.url.path
        if path.startswith((ROOT, "/metrics")):
            return answer({"error": sentence}, status)
        if status == 401:
            return RedirectResponse("/login", 303)
        return pages.error(request, status, sentence)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 (registered for it)
        return failed(request, error.status_code, str(error.detail))

    async def in_trouble(request: Request, error: Exception) -> Response:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
        return failed(request, status, str(error))

    async def broken(request: Request, error: Exception) -> Response:
        _log.error("a request failed: %s", type(error).__name__, exc_info=error)
        return failed(request, 500, "something went wrong; see: journalctl -u edgeface-console")

    static = StaticFiles(directory=Path(__file__).resolve().parent / "static")
    app = Starlette(
        routes=[
            *pages.routes(),
            *Api(interface, door, options.version).routes(),
            Mount("/static", static),
        ],
        exception_handlers={
            HTTPException: refused,
            ConsoleError: in_trouble,
            EdgeFaceError: in_trouble,
            Exception: broken,
        },
    )
    return Gate(InTheirLanguage(app), options.names, UPLOADS, door.knows)
