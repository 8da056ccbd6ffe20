"""Door: what the service shows of itself besides its events, for sinks that show a state.

Takes in a `DoorState` from the loop, hands on the newest to whoever asks, from any thread. It holds
no picture and no embedding, and nobody waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DoorState:
    """The state of the service at one moment.

    people: everybody enrolled, None where that cannot be known; present: who was recognized and is
    still in view; locked: whether somebody, or everybody, is locked out; problem: a sentence, None
    where all is well; fps: frames a second; temperature: degrees Celsius, None without a sensor;
    model: the file's name; version: EdgeFace's.
    """

    people: tuple[str, ...] | None = None
    present: frozenset[str] = frozenset()
    locked: bool = False
    problem: str | None = None
    fps: float = 0.0
    temperature: float | None = None
    model: str = ""
    version: str = ""


class Board:
    """Where the loop shows its state: `state` is None until it has."""

    def __init__(self) -> None:
        self.state: DoorState | None = None

    def show(self, state: DoorState) -> None:
        """Replace the state; an equal one stays the same object."""
        if state != self.state:
            self.state = state
