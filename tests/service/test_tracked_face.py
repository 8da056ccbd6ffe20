"""A tracked face goes through the documented states; test_liveness_at_the_door tests events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from edgeface.liveness import Profile
from edgeface.service.ballot import Rules, Verdict
from edgeface.service.cooldown import Cooldown
from edgeface.service.tracked_face import State, TrackedFace

ADA = Verdict("ada", 0.7, 0.5)


def face() -> TrackedFace:
    station: Any = SimpleNamespace(
        profile=Profile.STANDARD, rules=Rules(), tools=None, cooldown=Cooldown(10)
    )
    track: Any = SimpleNamespace(number=1, face=None)
    return TrackedFace(track, station)


def state(one: TrackedFace) -> State:
    """Read again: a checker of types takes an attribute that was compared for settled."""
    return one.state


def test_a_verdict_held_back_is_dropped_when_the_gallery_changes() -> None:
    one = face()
    assert state(one) is State.UNDECIDED
    one._hold(ADA)
    assert state(one) is State.HELD
    one.gallery_changed()
    assert state(one) is State.UNDECIDED


def test_what_was_reported_stays_reported_whatever_is_held_back_later() -> None:
    one = face()
    one.state = State.REPORTED
    one._hold(ADA)
    assert state(one) is State.REPORTED_HELD
    one.gallery_changed()
    assert state(one) is State.REPORTED


def test_a_person_who_was_just_reported_is_not_reported_again() -> None:
    cooldown = Cooldown(10)
    assert [cooldown.holds("ada", now) for now in (0.0, 5.0, 10.0)] == [False, True, False]
    cooldown.forget("ada")
    assert not cooldown.holds("ada", 11.0)
