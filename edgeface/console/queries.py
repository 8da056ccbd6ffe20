"""Queries: the filters of the history as a page or a program sends them.

Takes in the parameters of an address, hands on a `Wanted`, or a sentence for what cannot be meant.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import date

from starlette.datastructures import QueryParams

from edgeface.console.errors import WrongQuery
from edgeface.history.reading import Wanted

KINDS = (
    *("recognized", "unknown", "not_live", "not_permitted", "prompt", "challenge", "lockout"),
    *("gallery_restored", "gallery_unusable", "person_enrolled", "person_removed"),
    *("settings_changed", "source_lost", "source_back", "source_blind", "sink_failed"),
)
_KNOWN = {"person", "kind", "day", "until", "before", "limit"}
LARGEST = 2**63 - 1
MOST_TEMPLATES = 1_000_000  # of a person: their numbers are no larger


def wanted(query: QueryParams) -> Wanted:
    """The filters. An empty parameter, as a form sends it, is none."""
    for key in query:
        if key not in _KNOWN:
            raise WrongQuery(f"there is no parameter {key}; there are: {', '.join(sorted(_KNOWN))}")
    kinds = tuple(kind for kind in query.getlist("kind") if kind)
    for kind in kinds:
        if kind not in KINDS:
            raise WrongQuery(f"there is no kind of event {kind}; there are: {', '.join(KINDS)}")
    first, last = _day(query, "day"), _day(query, "until")
    if last is not None and first is None:
        raise WrongQuery("until needs day, the first day")
    if first is not None and last is not None and last < first:
        raise WrongQuery("until lies before day")
    before = number(query, "before", 1, LARGEST)
    person = unicodedata.normalize("NFC", query.get("person", "").strip())  # as the gallery's are
    return Wanted(person or None, kinds, first, last or first, before)


def number(query: Mapping[str, str], key: str, least: int, most: int) -> int | None:
    """A whole number within limits; None where it is not given."""
    text = query.get(key)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise WrongQuery(f"{key} is a whole number from {least} to {most}")
    return int(text)


def seconds(query: QueryParams, most: int) -> int:
    """For how long somebody wants to watch: as long as they say, and `most` where they do not."""
    return number(query, "seconds", 1, most) or most


def _day(query: QueryParams, key: str) -> date | None:
    text = query.get(key)
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise WrongQuery(f"{key} is a day, as in 2026-11-25") from None
