"""Rules of single people: hours, a last day and outputs, in one form, and what two sets allow."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from edgeface.errors import GalleryError
from edgeface.gallery.rules import Rules, both, hours_text, parse_hours, parse_outputs, parse_until


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone()


def rules(hours: str | None = None, until: str | None = None, *outputs: str) -> Rules:
    return Rules(
        None if hours is None else parse_hours(hours),
        None if until is None else parse_until(until),
        parse_outputs(outputs) if outputs else None,
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("mon-fri 08:00-18:00, sat 9:00-12:00", "mon-fri 08:00-18:00, sat 09:00-12:00"),
        ("FRI 22:00 - 06:00", "fri 22:00-24:00, sat 00:00-06:00"),
        ("sun 20:00-04:00", "mon 00:00-04:00, sun 20:00-24:00"),
        ("sat-mon 00:00-24:00", "mon 00:00-24:00, sat-sun 00:00-24:00"),
        ("mon 08:00-12:00; mon 11:00-13:00; mon 13:00-14:00", "mon 08:00-14:00"),
        ("mon-tue 08:00-09:00, mon-tue 10:00-11:00", "mon-tue 08:00-09:00, mon-tue 10:00-11:00"),
        ("fri 18:00-00:00", "fri 18:00-24:00"),
        ("never", "never"),
    ],
)
def test_hours_have_one_form_which_means_the_same(given: str, kept: str) -> None:
    hours = parse_hours(given)
    assert hours_text(hours) == kept
    assert parse_hours(kept) == hours


@pytest.mark.parametrize(
    "text",
    [
        *("", "mon", "8-18", "mon 08:00", "mon 25:00-26:00", "mon 08:60-09:00", "mon 08:00-08:00"),
        *("mon 24:00-08:00", "day 08:00-09:00", "mon-xyz 08:00-09:00", "mon 08:00-24:01", "mon,"),
    ],
)
def test_hours_that_cannot_be_meant_are_a_sentence(text: str) -> None:
    with pytest.raises(GalleryError, match=r"write them as|whole day|no time"):
        parse_hours(text)


def test_what_cannot_be_a_day_or_an_output_is_a_sentence() -> None:
    with pytest.raises(GalleryError, match="2026-12-31"):
        parse_until("31.12.2026")
    with pytest.raises(GalleryError, match="exec, gpio, live, mqtt, webhook"):
        parse_outputs(["door"])


def test_rules_refuse_outside_their_hours_and_after_their_last_day() -> None:
    office = rules("mon-fri 08:00-18:00", "2026-11-27")  # a Friday
    assert office.refusal(at("2026-11-27T08:00:00")) is None
    assert office.refusal(at("2026-11-27T17:59:59")) is None
    for moment in ("2026-11-27T07:59:59", "2026-11-27T18:00:00", "2026-11-22T12:00:00"):
        assert office.refusal(at(moment)) == "outside the hours: mon-fri 08:00-18:00"
    assert office.refusal(at("2026-11-30T12:00:00")) == "allowed until 2026-11-27 only"
    assert rules("never").refusal(at("2026-11-27T12:00:00")) is not None
    assert Rules().refusal(at("2099-01-01T00:00:00")) is None
    assert rules(None, None, "gpio").allows("gpio")
    assert not rules(None, None, "gpio").allows("live")
    assert Rules().allows("live")
    assert not Rules(outputs=()).allows("gpio")


def test_two_people_who_are_one_may_what_both_may() -> None:
    one = rules("mon-fri 08:00-18:00", "2026-12-31", "gpio", "mqtt")
    other = rules("fri-sat 12:00-20:00", "2026-11-30", "mqtt", "live")
    assert both(one, other) == rules("fri 12:00-18:00", "2026-11-30", "mqtt")
    assert both(one, other) == both(other, one)
    assert both(one, Rules()) == one == both(Rules(), one)
    apart = both(rules("mon 08:00-09:00", None, "gpio"), rules("tue 08:00-09:00", None, "exec"))
    assert (apart.hours, apart.outputs) == ((), ())  # never and nothing, which is not no limit
    assert both(Rules(until=date(2026, 1, 1)), Rules()).until == date(2026, 1, 1)
