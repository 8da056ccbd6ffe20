"""Languages: the words of the pages, in the language that a browser asks for.

Takes in a request's Accept-Language, hands on words by their key. What the service says (events,
reasons, errors) is passed on as it is, in English.
"""

from __future__ import annotations

import tomllib
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

_WORDS = Path(__file__).resolve().parent / "words"
LANGUAGES = {"en": "en", "de": "de", "zh": "zh-Hans"}
"""The catalogues, each with the tag that a page has in its `lang`."""
_MOST_ASKED = 20  # languages of a request that are looked at
_spoken: ContextVar[str] = ContextVar("language", default="en")


@cache
def catalogue(language: str = "en") -> dict[str, str]:
    """The words of a language, by their key."""
    words: dict[str, str] = tomllib.loads((_WORDS / f"{language}.toml").read_text("utf-8"))
    return words


def say(key: str, **values: object) -> str:
    """The words of a key, in the language of the request that is being answered."""
    return catalogue(_spoken.get())[key].format(**values)


def spoken() -> str:
    """The tag of the language of the request that is being answered."""
    return LANGUAGES[_spoken.get()]


def preferred(header: str) -> str:
    """The first of our languages by the weights of an Accept-Language header, else English."""
    asked: list[tuple[float, str]] = []
    for entry in header.split(",")[:_MOST_ASKED]:
        tag, _, weight = entry.partition(";")
        language = tag.strip().lower().partition("-")[0]
        if language in LANGUAGES:
            asked.append((_weight(weight), language))
    best = max(asked, key=lambda one: one[0], default=(0.0, "en"))  # of equals the first
    return best[1] if best[0] > 0 else "en"


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


class InTheirLanguage:
    """Has every request answered in the language it asks for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _spoken.set(preferred(Headers(scope=scope).get("accept-language", "")))
        await self._app(scope, receive, send)
