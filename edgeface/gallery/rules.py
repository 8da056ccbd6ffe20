"""Rules: when a person may open something, until which day, and which outputs.

Takes in what an administrator wrote, hands on `Rules` in one form and, for a moment, the sentence
why they refuse. It knows no file and asks no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import NamedTuple

import msgspec

from edgeface.errors import GalleryError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
OUTPUTS = ("exec", "gpio", "live", "mqtt", "webhook")
"""What can open something: the sinks that may act, and `live`, the answers of `verify --live` and
`identify --live`."""
NEVER = "never"
_LONGEST_HOURS = 20_000  # characters
_WHOLE_DAY = 24 * 60  # minutes
_ENTRY = re.compile(
    r"(?P<days>[a-z]{3}(?:\s*-\s*[a-z]{3})?)\s+(?P<start>\d{1,2}:\d\d)\s*-\s*(?P<end>\d{1,2}:\d\d)"
)


class Span(NamedTuple):
    """From a minute of a day of the week (0: Monday) to before another of the same day."""

    day: int
    start: int
    end: int


@dataclass(frozen=True)
class Rules:
    """What limits a person; None is no limit. hours: in order, none of them: never; until: the last
    day; outputs: of `OUTPUTS`, in order. Days and hours are those of the machine's time zone."""

    hours: tuple[Span, ...] | None = None
    until: date | None = None
    outputs: tuple[str, ...] | None = None

    @property
    def unlimited(self) -> bool:
        """Whether nothing is limited."""
        return self.hours is None and self.until is None and self.outputs is None

    @property
    def needs_clock(self) -> bool:
        """Whether the time decides."""
        return self.hours is not None or self.until is not None

    def refusal(self, now: datetime) -> str | None:
        """Why nothing may be opened at this local time; None where it may."""
        if self.until is not None and now.date() > self.until:
            return f"allowed until {self.until} only"
        if self.hours is not None:
            minute = now.hour * 60 + now.minute
            day = now.weekday()
            if not any(s.day == day and s.start <= minute < s.end for s in self.hours):
                return f"outside the hours: {hours_text(self.hours)}"
        return None

    def allows(self, output: str) -> bool:
        """Whether this output may act upon the person."""
        return self.outputs is None or output in self.outputs


class RulesChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be another way in somebody's rules; null is no limit, what is missing stays."""

    hours: str | msgspec.UnsetType | None = msgspec.UNSET
    until: str | msgspec.UnsetType | None = msgspec.UNSET
    outputs: list[str] | msgspec.UnsetType | None = msgspec.UNSET

    def applied(self, rules: Rules) -> Rules:
        """The rules as they are then. GalleryError for what cannot be meant."""
        if self.hours is not msgspec.UNSET:
            hours = None if self.hours is None else parse_hours(self.hours)
            rules = replace(rules, hours=hours)
        if self.until is not msgspec.UNSET:
            until = None if self.until is None else parse_until(self.until)
            rules = replace(rules, until=until)
        if self.outputs is not msgspec.UNSET:
            outputs = None if self.outputs is None else parse_outputs(self.outputs)
            rules = replace(rules, outputs=outputs)
        return rules


def both(one: Rules, other: Rules) -> Rules:
    """What both allow: the rules of two people who turn out to be one."""
    hours = one.hours if other.hours is None else other.hours
    if one.hours is not None and other.hours is not None:
        hours = _ordered(_common(one.hours, other.hours))
    days = [day for day in (one.until, other.until) if day is not None]
    outputs = one.outputs if other.outputs is None else other.outputs
    if one.outputs is not None and other.outputs is not None:
        outputs = tuple(name for name in one.outputs if name in other.outputs)
    return Rules(hours, min(days, default=None), outputs)


def parse_hours(text: str) -> tuple[Span, ...]:
    """Weekly hours such as "mon-fri 08:00-18:00, sat 09:00-12:00"; an end before the start is on
    the next day. "never" has none. GalleryError says what cannot be meant."""
    wanted = text.strip().lower()
    if wanted == NEVER:
        return ()
    if len(wanted) > _LONGEST_HOURS:
        raise GalleryError(f"hours have at most {_LONGEST_HOURS} characters")
    return _ordered(span for entry in re.split(r"[,;]", wanted) for span in _spans(entry.strip()))


def hours_text(hours: Sequence[Span]) -> str:
    """The same as text, days with equal hours together."""
    if not hours:
        return NEVER
    by_day: list[str] = []
    for day in range(7):
        times = [f"{_time(s.start)}-{_time(s.end)}" for s in hours if s.day == day]
        by_day.append(" ".join(times))
    entries = []
    first = 0
    for day in range(1, 8):
        if day < 7 and by_day[day] == by_day[first]:
            continue
        name = DAYS[first] if day - first == 1 else f"{DAYS[first]}-{DAYS[day - 1]}"
        entries += [f"{name} {times}" for times in by_day[first].split()]
        first = day
    return ", ".join(entries)


def parse_until(text: str) -> date:
    """A day such as 2026-12-31."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise GalleryError(f"{text!r} is no day; write it as 2026-12-31") from None


def parse_outputs(names: Sequence[str]) -> tuple[str, ...]:
    """Outputs, each once and in order."""
    for name in names:
        if name not in OUTPUTS:
            raise GalleryError(f"there is no output {name!r}; there are: {', '.join(OUTPUTS)}")
    return tuple(sorted(set(names)))


def _spans(entry: str) -> Iterator[Span]:
    found = _ENTRY.fullmatch(entry)
    days = re.split(r"\s*-\s*", found["days"]) if found else []
    if found is None or any(day not in DAYS for day in days):
        raise GalleryError(
            f"{entry!r} are no hours; write them as: mon-fri 08:00-18:00, sat 09:00-12:00"
        )
    start, end = _minutes(found["start"]), _minutes(found["end"])
    if start in (_WHOLE_DAY, end):
        raise GalleryError(f"{entry!r} is no time at all; a whole day is 00:00-24:00")
    first, last = DAYS.index(days[0]), DAYS.index(days[-1])
    for step in range((last - first) % 7 + 1):
        day = (first + step) % 7
        if start < end:
            yield Span(day, start, end)
            continue
        yield Span(day, start, _WHOLE_DAY)
        if end:
            yield Span((day + 1) % 7, 0, end)


def _minutes(text: str) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    if minute > 59 or hour * 60 + minute > _WHOLE_DAY:
        raise GalleryError(f"{text} is no time of the day")
    return hour * 60 + minute


def _time(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _common(one: Sequence[Span], other: Sequence[Span]) -> Iterator[Span]:
    for a in one:
        for b in other:
            start, end = max(a.start, b.start), min(a.end, b.end)
            if a.day == b.day and start < end:
                yield Span(a.day, start, end)


def _ordered(spans: Iterator[Span]) -> tuple[Span, ...]:
    """In order, those that meet or overlap made one."""
    joined: list[Span] = []
    for span in sorted(spans):
        last = joined[-1] if joined else None
        if last is not None and last.day == span.day and span.start <= last.end:
            joined[-1] = Span(last.day, last.start, max(last.end, span.end))
        else:
            joined.append(span)
    return tuple(joined)
