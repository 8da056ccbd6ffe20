"""Cooldown: who was reported recently, so that one visit makes one event.

Takes in names and track numbers with their times, hands on whether to hold back the event. It makes
no event itself.
"""

from __future__ import annotations


class Cooldown:
    """Remembers for `seconds` who was reported: a name, or a stranger's track number."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._reported: dict[str | int, float] = {}

    def holds(self, who: str | int, now: float) -> bool:
        """Whether they were reported recently; if not, they count as reported from now on."""
        self._reported = {
            other: when for other, when in self._reported.items() if now - when < self._seconds
        }
        if who in self._reported:
            return True
        self._reported[who] = now
        return False

    def forget(self, who: str | int) -> None:
        """Report them again at once."""
        self._reported.pop(who, None)
