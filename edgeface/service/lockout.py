"""Lockout: too many refused attempts in a row close the door for a while.

Takes in attempts with their outcome and time, hands on whether attempts are taken now. It judges no
face itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from edgeface.service.config import LockoutSettings as Rules


class Lockout:
    """Counts refused attempts; an accepted one begins the count anew."""

    def __init__(self, rules: Rules, clock: Callable[[], float] = time.monotonic) -> None:
        self.rules = rules
        self._clock = clock
        self._refused = 0
        self._until = 0.0

    @property
    def left(self) -> float:
        """Seconds until attempts are taken again; 0 if they are now."""
        return max(0.0, self._until - self._clock())

    def accepted(self) -> None:
        """Somebody was let in."""
        self._refused = 0

    def refused(self) -> bool:
        """Somebody was turned away; whether this has locked the door."""
        if self.left:
            return False
        self._refused += 1
        if self._refused < self.rules.attempts:
            return False
        self._refused = 0
        self._until = self._clock() + self.rules.duration
        return True
