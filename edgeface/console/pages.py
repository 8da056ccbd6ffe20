"""Pages: what a person sees, made here and whole without scripts.

Takes in requests of browsers, hands on pages made of `Interface`'s answers; each form comes back
with its session's own token. Every text from elsewhere is escaped by the templates.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from edgeface.console import access
from edgeface.console.access import Doorkeeper
from edgeface.console.api import attachment
from edgeface.console.errors import ConsoleError
from edgeface.console.interface import OUTPUTS, PAGE, WATCHING, Interface
from edgeface.console.languages import say, spoken
from edgeface.console.passwords import LEAST_LENGTH, Throttle
from edgeface.console.queries import KINDS, MOST_TEMPLATES, number, seconds, wanted
from edgeface.console.sessions import SCOPES, Session
from edgeface.console.uploads import uploaded
from edgeface.errors import EdgeFaceError
from edgeface.history.reading import local
from edgeface.system.upload import LARGEST_PICTURE, MOST_PICTURES, MOST_TOGETHER

_HERE = Path(__file__).resolve().parent
_SEE_OTHER = 303
_PART = b"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n"


class Pages:
    """All pages. `throttle` keeps guessing slow."""

    def __init__(
        self, interface: Interface, door: Doorkeeper, throttle: Throttle, version: str
    ) -> None:
        self._interface, self._door, self._throttle = interface, door, throttle
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(t=say, spoken=spoken, version=version)
        self._templates.filters["clock"] = _clock

    def routes(self) -> list[Route]:
        """Every page and form."""
        get, post = ["GET"], ["POST"]
        return [
            Route("/", self._home, methods=get),
            Route("/login", self._login_page, methods=get),
            Route("/login", self._login, methods=post),
            Route("/first/{secret}", self._first_page, methods=get),
            Route("/first", self._first, methods=post),
            Route("/logout", self._logout, methods=post),
            Route("/people", self._people, methods=get),
            Route("/people/enroll", self._enroll, methods=post),
            Route("/people/pictures", self._enroll_pictures, methods=post),
            Route("/people/enroll/{id}", self._enrolling, methods=get),
            Route("/people/enroll/{id}/cancel", self._cancel, methods=post),
            Route("/people/change", self._change, methods=get),
            Route("/people/rename", self._rename, methods=post),
            Route("/people/merge", self._merge, methods=post),
            Route("/people/rules", self._rules, methods=post),
            Route("/people/remove", self._remove, methods=post),
            Route("/live", self._live, methods=get),
            Route("/live.mjpeg", self._live_pictures, methods=get),
            Route("/history", self._history, methods=get),
            Route("/history.csv", self._history_csv, methods=get),
            Route("/attendance", self._attendance, methods=get),
            Route("/attendance.csv", self._attendance_csv, methods=get),
            Route("/status", self._status, methods=get),
            Route("/access", self._access, methods=get),
            Route("/access/end", self._end_session, methods=post),
        ]

    def error(self, request: Request, status: int, sentence: str) -> Response:
        """A page that says what is wrong."""
        session = self._door.session(request)
        return self._page("error.html", session, status=status, sentence=sentence)

    async def _home(self, request: Request) -> Response:
        return RedirectResponse("/people", _SEE_OTHER)

    async def _login_page(self, request: Request) -> Response:
        return self._page("login.html", None, known=self._door.password.is_set, wrong=None)

    async def _login(self, request: Request) -> Response:
        address = access.address(request)
        given = (await access.form(request)).get("password", "")
        if not self._door.password.is_set:
            return self._page("login.html", None, status=403, known=False, wrong=None)
        if (wait := self._throttle.wait(address)) > 0:
            answer = self._login_again(say("login.wait", seconds=f"{wait:.0f}"), 429)
            answer.headers["Retry-After"] = f"{wait:.0f}"
            return answer
        # Noted before it is looked at: several at once must not be free.
        self._throttle.failed(address)
        if not await self._door.password.fits(given):
            return self._login_again(say("login.wrong"), 403)
        self._throttle.passed(address)
        return self._let_in(request)

    def _let_in(self, request: Request) -> Response:
        """A session, and the way to the first page."""
        address = access.address(request)
        agent = request.headers.get("user-agent", "")
        secret = self._door.sessions.begin(address, agent, self._door.password.generation)
        done = RedirectResponse("/people", _SEE_OTHER)
        done.set_cookie(
            self._door.cookie, secret, path="/", secure=self._door.tls, httponly=True,
            samesite="strict",
        )  # fmt: skip
        return done

    async def _first_page(self, request: Request) -> Response:
        """Asking does not use the link up: messengers look at links before people do."""
        secret = request.path_params["secret"]
        if not self._door.invitation.fits(secret):
            raise HTTPException(403, say("first.over"))
        return self._page("first.html", None, secret=secret, least=LEAST_LENGTH, wrong=None)

    async def _first(self, request: Request) -> Response:
        """Set the password; whoever was logged in has to log in again."""
        fields = await access.form(request)
        secret, password = fields.get("secret", ""), fields.get("password", "")
        if not self._door.invitation.fits(secret):
            raise HTTPException(403, say("first.over"))
        wrong = None
        try:
            self._door.password.require_long_enough(password)
        except EdgeFaceError as error:
            wrong = str(error)
        if password != fields.get("again", ""):
            wrong = say("first.differ")
        if wrong is not None:
            return self._page(
                "first.html", None, status=400, secret=secret, least=LEAST_LENGTH, wrong=wrong
            )
        if not self._door.invitation.use(secret):
            raise HTTPException(403, say("first.over"))
        await asyncio.to_thread(self._door.password.set, password)
        return self._let_in(request)

    def _login_again(self, wrong: str, status: int) -> Response:
        return self._page("login.html", None, status=status, known=True, wrong=wrong)

    async def _logout(self, request: Request) -> Response:
        session, _ = await self._form(request)
        self._door.sessions.end(session.number)
        done = RedirectResponse("/login", _SEE_OTHER)
        done.delete_cookie(
            self._door.cookie, path="/", secure=self._door.tls, httponly=True, samesite="strict"
        )
        return done

    async def _people(self, request: Request) -> Response:
        session = self._door.require_page(request)
        people = await self._interface.people(access.via(session, request))
        return self._page(
            "people.html",
            session,
            people=people,
            most=MOST_PICTURES,
            largest=LARGEST_PICTURE // 1_000_000,
            together=MOST_TOGETHER // 1_000_000,
        )

    async def _enroll(self, request: Request) -> Response:
        session, fields = await self._form(request)
        name = fields.get("name", "").strip()
        if not name:
            raise HTTPException(400, say("people.name_missing"))
        one = self._interface.enroll(name, access.via(session, request))
        return RedirectResponse(f"/people/enroll/{one.number}", _SEE_OTHER)

    async def _enroll_pictures(self, request: Request) -> Response:
        session = self._door.require_page(request)
        async with uploaded(request, self._interface.slot) as upload:
            self._require_own(session, upload.fields)
            name = upload.fields.get("name", "").strip()
            if not name:
                raise HTTPException(400, say("people.name_missing"))
            by = access.via(session, request)
            one = self._interface.enroll_pictures(name, upload.pictures, by)
            upload.task = one.task
        return RedirectResponse(f"/people/enroll/{one.number}", _SEE_OTHER)

    async def _enrolling(self, request: Request) -> Response:
        session = self._door.require_page(request)
        return self._page("enrolling.html", session, one=self._one(request))

    async def _cancel(self, request: Request) -> Response:
        await self._form(request)
        one = self._one(request)
        await self._interface.cancel(one)
        return RedirectResponse(f"/people/enroll/{one.number}", _SEE_OTHER)

    def _one(self, request: Request) -> Any:
        one = self._interface.enrolling(request.path_params["id"])
        if one is None:
            raise HTTPException(404, say("error.missing"))
        return one

    async def _change(self, request: Request) -> Response:
        session = self._door.require_page(request)
        name = request.query_params.get("name", "")
        people = await self._interface.people(access.via(session, request))
        person = next((one for one in people if one["name"] == name), None)
        if person is None:
            raise HTTPException(404, say("error.missing"))
        others = [other for other in people if other is not person]
        return self._page("change.html", session, person=person, others=others, outputs=OUTPUTS)

    async def _rename(self, request: Request) -> Response:
        session, fields = await self._form(request)
        name, to = fields.get("name", ""), fields.get("to", "").strip()
        if not to:
            raise HTTPException(400, say("people.name_missing"))
        await self._interface.rename(name, to, access.via(session, request))
        return RedirectResponse("/people", _SEE_OTHER)

    async def _merge(self, request: Request) -> Response:
        session, fields = await self._form(request)
        name, into = fields.get("name", ""), fields.get("into", "")
        if not into:
            raise HTTPException(400, say("people.name_missing"))
        await self._interface.merge(name, into, access.via(session, request))
        return RedirectResponse("/people", _SEE_OTHER)

    async def _rules(self, request: Request) -> Response:
        """The form has every rule; an empty field is no limit. Of the outputs none chosen is none
        allowed, so that all are a choice of their own."""
        session, fields = await self._form(request)
        named = [output for output in OUTPUTS if f"output-{output}" in fields]
        rules = {
            "hours": fields.get("hours", "").strip() or None,
            "until": fields.get("until", "").strip() or None,
            "outputs": named if fields.get("which") == "some" else None,
        }
        by = access.via(session, request)
        await self._interface.set_rules(fields.get("name", ""), rules, by)
        return RedirectResponse("/people", _SEE_OTHER)

    async def _remove(self, request: Request) -> Response:
        session, fields = await self._form(request)
        name, by = fields.get("name", ""), access.via(session, request)
        template = number(fields, "template", 1, MOST_TEMPLATES)
        await self._interface.remove(name, by, template)
        left = "/people" if template is None else f"/people/change?{urlencode({'name': name})}"
        return RedirectResponse(left, _SEE_OTHER)

    async def _live(self, request: Request) -> Response:
        return self._page("live.html", self._door.require_page(request))

    async def _live_pictures(self, request: Request) -> Response:
        """The picture for browsers whose scripts are off."""
        session = self._door.require_page(request)
        within = seconds(request.query_params, WATCHING)
        pictures = await self._interface.live(access.via(session, request), within)

        async def parts() -> AsyncIterator[bytes]:
            async with aclosing(pictures):
                with suppress(ConsoleError):  # the picture stops
                    async for picture in pictures:
                        self._door.require_page(request)
                        data = base64.b64decode(picture["picture"])
                        yield _PART % (len(data), data)

        kind = "multipart/x-mixed-replace; boundary=picture"
        return StreamingResponse(parts(), media_type=kind)

    async def _history(self, request: Request) -> Response:
        session = self._door.require_page(request)
        filters = wanted(request.query_params)
        found = await self._interface.events(filters, PAGE + 1)
        newest = await self._interface.newest()
        older = None
        if len(found) > PAGE:
            older = _with(request, before=str(found[PAGE - 1]["seq"]))
        return self._page(
            "history.html",
            session,
            events=found[:PAGE],
            kinds=KINDS,
            chosen=_chosen(request),
            query=_with(request, before=""),
            older=older,
            newest=newest,
        )

    async def _history_csv(self, request: Request) -> Response:
        self._door.require_page(request)
        filters = wanted(request.query_params)
        await self._interface.newest()
        return attachment(self._interface.events_csv(filters), "events.csv")

    async def _attendance(self, request: Request) -> Response:
        session = self._door.require_page(request)
        found = await self._interface.attendance(wanted(request.query_params))
        return self._page(
            "attendance.html",
            session,
            found=found,
            chosen=_chosen(request),
            query=_with(request, before=""),
        )

    async def _attendance_csv(self, request: Request) -> Response:
        self._door.require_page(request)
        filters = wanted(request.query_params)
        await self._interface.newest()
        return attachment(self._interface.attendance_csv(filters), "attendance.csv")

    async def _status(self, request: Request) -> Response:
        session = self._door.require_page(request)
        status = await self._interface.status()
        counts: dict[str, int] = {}
        history: str | None = None
        try:
            counts = await self._interface.counts()
        except EdgeFaceError as error:
            history = str(error)
        return self._page("status.html", session, now=status, counts=counts, history=history)

    async def _access(self, request: Request) -> Response:
        session = self._door.require_page(request)
        return self._page(
            "access.html",
            session,
            sessions=self._door.sessions.listed(),
            tokens=self._door.tokens.listed(),
            scopes=SCOPES,
        )

    async def _end_session(self, request: Request) -> Response:
        _, fields = await self._form(request)
        self._door.sessions.end(fields.get("number", ""))
        return RedirectResponse("/access", _SEE_OTHER)

    async def _form(self, request: Request) -> tuple[Session, dict[str, str]]:
        """The session and the fields of a form that is its own."""
        session = self._door.require_page(request)
        fields = await access.form(request)
        self._require_own(session, fields)
        return session, fields

    def _require_own(self, session: Session, fields: dict[str, str]) -> None:
        if session.forged(fields.get("csrf", "")):
            raise HTTPException(403, say("error.forged"))

    def _page(
        self, template: str, session: Session | None, status: int = 200, **values: Any
    ) -> Response:
        page = self._templates.get_template(template).render(session=session, **values)
        return HTMLResponse(page, status)


def _chosen(request: Request) -> dict[str, Any]:
    query = request.query_params
    return {
        "person": query.get("person", ""),
        "kinds": query.getlist("kind"),
        "day": query.get("day", ""),
        "until": query.get("until", ""),
    }


def _with(request: Request, **changed: str) -> str:
    """The query of a request with other parameters; an empty one is left out."""
    pairs = [(key, value) for key, value in request.query_params.multi_items()]
    kept = [(key, value) for key, value in pairs if key not in changed and value]
    return urlencode([*kept, *((key, value) for key, value in changed.items() if value)])


def _clock(moment: str | float | None) -> str:
    """A time as people read it, in the machine's time zone."""
    if moment is None:
        return ""
    if isinstance(moment, str):
        return f"{local(moment):%Y-%m-%d %H:%M:%S}"
    return f"{datetime.fromtimestamp(moment).astimezone():%Y-%m-%d %H:%M}"
