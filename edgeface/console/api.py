"""Api: the JSON interface, version 1, with its OpenAPI description and the figures for Prometheus.

Takes in requests that `Doorkeeper` lets through, hands on what `Interface` answers. An error is an
object with the key `error`, a sentence.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from edgeface.console.access import Doorkeeper
from edgeface.console.errors import ConsoleError
from edgeface.console.interface import MOST_EVENTS, PAGE, WATCHING, Interface
from edgeface.console.queries import KINDS, LARGEST, MOST_TEMPLATES, number, seconds, wanted
from edgeface.console.sessions import SCOPES
from edgeface.console.uploads import UPLOADS, SentPicture, uploaded

ROOT = "/api/v1"
Handler = Callable[[Request], Awaitable[Response]]
_Body = TypeVar("_Body", bound=msgspec.Struct)


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class _Renamed(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    to: str


class _Merged(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    into: str


class _Ruled(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    hours: str | msgspec.UnsetType | None = msgspec.UNSET
    until: str | msgspec.UnsetType | None = msgspec.UNSET
    outputs: list[str] | msgspec.UnsetType | None = msgspec.UNSET


_BODIES: dict[str, type[_Named | _Renamed | _Merged | _Ruled]] = {
    "/enrollments": _Named,
    "/people/rename": _Renamed,
    "/people/merge": _Merged,
    "/people/rules": _Ruled,
}


def answer(value: Any, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def attachment(lines: Any, name: str) -> Response:
    """Lines of CSV to be saved under this name."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


class Api:
    """All routes below /api/v1, and /metrics."""

    def __init__(self, interface: Interface, door: Doorkeeper, version: str) -> None:
        self._interface, self._door, self._version = interface, door, version
        # method, path, scope, what it does, its parameters, the function
        self._table: tuple[tuple[str, str, str, str, tuple[str, ...], Handler], ...] = (
            ("GET", "/status", "status", "What the service does.", (), self._status),
            ("GET", "/people", "people", "Who is enrolled.", (), self._people),
            (
                "DELETE",
                "/people",
                "manage",
                "Remove a person, or one template.",
                ("name", "template"),
                self._remove,
            ),
            ("POST", "/people/rename", "manage", "Give a person a name.", (), self._rename),
            ("POST", "/people/merge", "manage", "Make two names one person.", (), self._merge),
            ("POST", "/people/rules", "manage", "Set somebody's rules.", (), self._rules),
            ("POST", "/enrollments", "manage", "Enroll who is at the door.", (), self._enroll),
            (
                "POST",
                "/enrollments/pictures",
                "manage",
                "Enroll somebody from pictures.",
                ("name",),
                self._enroll_pictures,
            ),
            ("POST", "/identify", "recognize", "Who is in a picture.", (), self._identify),
            (
                "POST",
                "/verify",
                "recognize",
                "Whether a picture shows a person.",
                ("name",),
                self._verify,
            ),
            ("GET", "/enrollments/{id}", "manage", "How it goes.", ("id",), self._enrolling),
            ("DELETE", "/enrollments/{id}", "manage", "Cancel it.", ("id",), self._cancel),
            ("GET", "/events", "events", "Past events, newest first.", _FILTERS, self._events),
            ("GET", "/events.csv", "events", "The same as CSV.", _FILTERS, self._events_csv),
            ("GET", "/events/stream", "events", "Events as they come.", (), self._stream),
            ("GET", "/live", "live", "What the camera sees.", ("seconds",), self._live),
            ("GET", "/attendance", "events", "Who came on which day.", _FILTERS, self._attendance),
        )

    def routes(self) -> list[Route]:
        """The routes; the description is for everybody who may use anything."""
        return [
            Route(ROOT + "/openapi.json", self._openapi, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
            *(
                Route(ROOT + path, handler, methods=[method])
                for method, path, _, _, _, handler in self._table
            ),
        ]

    async def _status(self, request: Request) -> Response:
        self._door.require(request, "status")
        return answer(await self._interface.status())

    async def _people(self, request: Request) -> Response:
        by = self._door.require(request, "people")
        return answer({"people": await self._interface.people(by)})

    async def _remove(self, request: Request) -> Response:
        by = self._door.require(request, "manage")
        template = number(request.query_params, "template", 1, MOST_TEMPLATES)
        return answer(await self._interface.remove(_name(request), by, template))

    async def _enroll(self, request: Request) -> Response:
        by = self._door.require(request, "manage")
        named = await _sent_as(request, _Named)
        return answer(self._interface.enroll(named.name, by).as_dict(), 202)

    async def _enroll_pictures(self, request: Request) -> Response:
        by = self._door.require(request, "manage")
        name = _name(request)
        async with uploaded(request, self._interface.slot) as upload:
            one = self._interface.enroll_pictures(name, upload.pictures, by)
            upload.task = one.task
        return answer(one.as_dict(), 202)

    async def _identify(self, request: Request) -> Response:
        by = self._door.require(request, "recognize")
        async with uploaded(request, self._interface.slot) as upload:
            return answer(await self._interface.identify(_only(upload.pictures), by))

    async def _verify(self, request: Request) -> Response:
        by = self._door.require(request, "recognize")
        name = _name(request)
        async with uploaded(request, self._interface.slot) as upload:
            return answer(await self._interface.verify(name, _only(upload.pictures), by))

    async def _rename(self, request: Request) -> Response:
        by = self._door.require(request, "manage")
        asked = await _sent_as(request, _Renamed)
        return answer(await self._interface.rename(asked.name, asked.to, by))

    async def _rules(self, request: Request) -> Response:
        by = self._door.require(request, "manage")
        asked: dict[str, Any] = msgspec.to_builtins(await _sent_as(request, _Ruled))
        return answer(await self._interface.set_rules(asked.pop("name"), asked, by))

    async def _merge(self, request: Request) -> Response:
        by = self._door.require(request, "manage")
        asked = await _sent_as(request, _Merged)
        return answer(await self._interface.merge(asked.name, asked.into, by))

    async def _enrolling(self, request: Request) -> Response:
        self._door.require(request, "manage")
        return answer(self._one(request).as_dict())

    async def _cancel(self, request: Request) -> Response:
        self._door.require(request, "manage")
        one = self._one(request)
        await self._interface.cancel(one)
        return answer(one.as_dict())

    def _one(self, request: Request) -> Any:
        one = self._interface.enrolling(request.path_params["id"])
        if one is None:
            raise HTTPException(404, "there is no such enrollment")
        return one

    async def _events(self, request: Request) -> Response:
        self._door.require(request, "events")
        query = request.query_params
        most = number(query, "limit", 1, MOST_EVENTS) or PAGE
        return answer({"events": await self._interface.events(wanted(query), most)})

    async def _events_csv(self, request: Request) -> Response:
        self._door.require(request, "events")
        filters = wanted(request.query_params)
        await self._interface.newest()  # refuses while it still can be refused
        return attachment(self._interface.events_csv(filters), "events.csv")

    async def _attendance(self, request: Request) -> Response:
        self._door.require(request, "events")
        found = await self._interface.attendance(wanted(request.query_params))
        return answer({"attendance": found})

    async def _stream(self, request: Request) -> Response:
        self._door.require(request, "events")
        newest = await self._interface.newest()
        given = request.headers.get("last-event-id", "")
        known = given.isascii() and given.isdigit() and len(given) < 20
        after = min(int(given), newest) if known else newest

        async def lines() -> AsyncIterator[bytes]:
            async for event in self._interface.coming(after):
                # A session that has ended meanwhile, or a token that was removed, hears no more.
                self._door.require(request, "events")
                yield b": \n\n" if event is None else _sent(event)

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def _live(self, request: Request) -> Response:
        by = self._door.require(request, "live")
        pictures = await self._interface.live(by, seconds(request.query_params, WATCHING))

        async def lines() -> AsyncIterator[bytes]:
            async with aclosing(pictures):
                try:
                    async for picture in pictures:
                        self._door.require(request, "live")
                        yield b"event: picture\ndata: " + msgspec.json.encode(picture) + b"\n\n"
                except ConsoleError as error:
                    sentence = msgspec.json.encode({"error": str(error)})
                    yield b"event: trouble\ndata: " + sentence + b"\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def _metrics(self, request: Request) -> Response:
        self._door.require(request, "status")
        status = await self._interface.status()
        return PlainTextResponse(metrics(status), media_type="text/plain; version=0.0.4")

    async def _openapi(self, request: Request) -> Response:
        self._door.require(request, _any_scope(self._door, request))
        return answer(self.description())

    def description(self) -> dict[str, Any]:
        """The OpenAPI document."""
        paths: dict[str, Any] = {}
        for method, path, scope, what, parameters, _ in self._table:
            operation: dict[str, Any] = {
                "summary": what,
                "security": [{"token": [scope]}, {"session": []}],
                "parameters": [_parameter(name) for name in parameters],
                "responses": {
                    "202" if method == "POST" and path.startswith("/enrollments") else "200": {
                        "description": "Done."
                    },
                    "default": {"description": "An object with the key error, a sentence."},
                },
            }
            if path in _BODIES and method == "POST":
                operation["requestBody"] = {
                    "required": True,
                    "content": {"application/json": {"schema": _schema(_BODIES[path])}},
                }
            if ROOT + path in UPLOADS:
                operation["requestBody"] = {
                    "required": True,
                    "content": {"multipart/form-data": {"schema": _FILES}},
                }
            paths.setdefault(ROOT + path, {})[method.lower()] = operation
        return {
            "openapi": "3.1.0",
            "info": {"title": "EdgeFace console", "version": self._version},
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "; ".join(
                            f"{name}: {what}" for name, what in SCOPES.items()
                        ),
                    },
                    "session": {"type": "apiKey", "in": "cookie", "name": self._door.cookie},
                }
            },
        }


_FILES = {
    "type": "object",
    "properties": {"picture": {"type": "array", "items": {"type": "string", "format": "binary"}}},
}
_FILTERS = ("person", "kind", "day", "until", "before", "limit")
_SCHEMAS: dict[str, dict[str, Any]] = {
    "kind": {"type": "array", "items": {"type": "string", "enum": list(KINDS)}},
    "day": {"type": "string", "format": "date"},
    "until": {"type": "string", "format": "date"},
    "seconds": {"type": "integer", "minimum": 1, "maximum": WATCHING},
    "template": {"type": "integer", "minimum": 1, "maximum": MOST_TEMPLATES},
    "before": {"type": "integer", "minimum": 1, "maximum": LARGEST},
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST_EVENTS},
}


def _name(request: Request) -> str:
    """The person that a request names in its address."""
    name = request.query_params.get("name")
    if not name:
        raise HTTPException(400, "name says whom it is about")
    return name


def _only(pictures: list[SentPicture]) -> SentPicture:
    if len(pictures) != 1:
        raise HTTPException(400, "send one picture at a time")
    return pictures[0]


async def _sent_as(request: Request, kind: type[_Body]) -> _Body:
    """The body of a request, which is JSON of this kind and nothing else."""
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        keys = ", ".join(kind.__struct_fields__)
        raise HTTPException(400, f"send an object with {keys}: {error}") from None


def _schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    described: dict[str, Any] = msgspec.json.schema(kind)["$defs"][kind.__name__]
    return described


def _parameter(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path" if name == "id" else "query",
        "required": name in ("id", "name"),
        "schema": _SCHEMAS.get(name, {"type": "string"}),
    }


def _any_scope(door: Doorkeeper, request: Request) -> str:
    """A scope that this request's token has; the first where it has none, or is a session's."""
    _, _, secret = request.headers.get("authorization", "").partition(" ")
    token = door.tokens.find(secret.strip()) if secret else None
    return token.scopes[0] if token is not None and token.scopes else next(iter(SCOPES))


def _sent(event: dict[str, Any]) -> bytes:
    """An event as a server-sent one; JSON has no line breaks of its own."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        event["seq"],
        re.sub(r"\W", "", str(event["type"])).encode(),
        msgspec.json.encode(event),
    )


def metrics(status: dict[str, Any]) -> str:
    """The figures of a status in Prometheus' text format. They name nobody."""
    values: list[tuple[str, str, str, float]] = [
        ("frames_total", "counter", "", status["frames"]),
        ("frames_per_second", "gauge", "", status["fps"]),
        ("people", "gauge", "", status["people"]),
        ("faces_in_view", "gauge", "", len(status["in_view"])),
        ("events_total", "counter", "", status["events"]),
        ("uptime_seconds", "gauge", "", status["uptime_s"]),
        ("locked_seconds", "gauge", "", status["locked_s"]),
        ("gallery_usable", "gauge", "", 0 if status["gallery_problem"] else 1),
    ]
    if status["temperature_c"] is not None:
        values.append(("temperature_celsius", "gauge", "", status["temperature_c"]))
    for key, kind in (("delivered", "counter"), ("waiting", "gauge"), ("lost", "counter")):
        for sink in status["sinks"]:
            label = f'{{sink="{sink["name"]}"}}'
            suffix = "_total" if kind == "counter" else ""
            values.append((f"sink_{key}{suffix}", kind, label, sink[key]))
    lines, described = [], set()
    for name, kind, label, value in values:
        if name not in described:
            described.add(name)
            lines.append(f"# TYPE edgeface_{name} {kind}")
        lines.append(f"edgeface_{name}{label} {value}")
    return "\n".join(lines) + "\n"
