"""Presence: who is at the door, with a clock that the test turns."""

from __future__ import annotations

from edgeface.service.presence import Figures, Presence


def test_who_turns_away_for_a_moment_has_not_left() -> None:
    presence = Presence()
    assert presence.at(0.0, ["ada"]) == {"ada"}
    assert presence.at(4.9, ["bob"]) == {"ada", "bob"}
    assert presence.at(5.1, []) == {"bob"}
    assert presence.at(10.0, []) == frozenset()


def test_figures_are_not_sent_with_every_frame() -> None:
    figures = Figures()
    assert figures.at(100.0, 12.34, 50.04) == (12.3, 50.0)
    assert figures.at(129.0, 3.0, 70.0) == (12.3, 50.0)
    assert figures.at(130.0, 3.0, None) == (3.0, None)
