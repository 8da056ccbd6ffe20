"""Presence: who counts as being at the door, and the figures that are shown beside it.

Takes in who is recognized in each moment, hands on who is present: a face that turns away for a
moment has not left. Figures that always change a little are held still for a while, so that nobody
is sent one with every frame.
"""

from __future__ import annotations

from collections.abc import Iterable

_LINGER = 5.0  # seconds for which somebody counts as present who is not seen any more
_FIGURES_EVERY = 30.0  # seconds between two states that differ in their figures alone


class Presence:
    """Who is present. Times are seconds of one clock that only grows."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def at(self, now: float, recognized: Iterable[str]) -> frozenset[str]:
        """Who is present now, when these are recognized in view."""
        self._seen |= dict.fromkeys(recognized, now)
        self._seen = {name: seen for name, seen in self._seen.items() if now - seen < _LINGER}
        return frozenset(self._seen)


class Figures:
    """Frames a second and degrees Celsius, as they were shown last."""

    def __init__(self) -> None:
        self._shown: tuple[float, float | None] = (0.0, None)
        self._since: float | None = None

    def at(self, now: float, fps: float, temperature: float | None) -> tuple[float, float | None]:
        """What to show now."""
        if self._since is None or now - self._since >= _FIGURES_EVERY:
            self._since = now
            degrees = None if temperature is None else round(temperature, 1)
            self._shown = (round(fps, 1), degrees)
        return self._shown
