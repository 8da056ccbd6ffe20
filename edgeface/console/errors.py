"""ConsoleError: what the console answers when it cannot do as asked, one sentence for its reader.

It never leaves the console's own process, so it is no part of the Python surface.
"""

from __future__ import annotations

from typing import Any


class ConsoleError(Exception):
    """A request that cannot be done as asked."""


class WrongQuery(ConsoleError):
    """A parameter that cannot be used."""


class Busy(ConsoleError):
    """What can be done only once at a time, and is being done."""


class ServiceAway(ConsoleError):
    """No service answers."""


class Refused(ConsoleError):
    """What the service answered when it could not do as asked; `answer` is all of it."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["error"])
        self.answer = answer
