"""Lockout: too many refused attempts close the door, or one name, for a while.

Takes in refused and accepted attempts, hands on whether attempts are taken now. It counts by
claimed name, and for the door as a whole; refusals expire, and both counts survive a restart. Time
is CLOCK_BOOTTIME, so that setting the wall clock changes nothing. It judges no face itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from edgeface.pipeline.geometry import Box, overlap
from edgeface.service.config import LockoutSettings as Rules
from edgeface.system.storage import write_atomically

_log = logging.getLogger("edgeface.service")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LARGEST_STATE = 1 << 20  # bytes
_SAME_PLACE = 0.7  # intersection over union of two boxes of a face that has not moved


class _Count(msgspec.Struct):
    """Times of refusals that have not expired, and until when nothing is taken; in seconds."""

    refused: list[float] = []
    until: float = 0.0


class _State(msgspec.Struct, forbid_unknown_fields=True):
    """What survives a restart. `saved` is the time of writing on the clock of `boot`."""

    boot: str
    saved: float
    door: _Count
    unnamed: list[float]
    names: dict[str, _Count]


def boot_time() -> float:
    """Seconds since the machine started, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lockout:
    """Counts refused attempts within `rules.window`.

    `rules.attempts` of them for one name lock that name. As many without a name, or
    `rules.door_attempts` of any kind, lock the door for everybody. An accepted attempt clears the
    count of its own name only. `store` is the file that keeps the counts, None to keep none; one
    that cannot be read locks the door once, since what it held is not known.
    """

    def __init__(
        self, rules: Rules, clock: Callable[[], float] = boot_time, store: Path | None = None
    ) -> None:
        self.rules = rules
        self._clock, self._store = clock, store
        self._still: list[tuple[Box, float]] = []
        self._state = _State(_boot_id(), clock(), _Count(), [], {})
        if store is not None:
            self._load(store)

    @property
    def door_left(self) -> float:
        """Seconds until the door takes attempts again; 0 if it takes them now."""
        return max(0.0, self._state.door.until - self._clock())

    @property
    def longest_left(self) -> float:
        """Seconds until nothing is locked, neither the door nor a name."""
        return max(map(self.left, (None, *self._state.names)))

    def left(self, name: str | None) -> float:
        """Seconds until attempts for `name` are taken again, the door's own lock included."""
        count = self._state.names.get(name) if name is not None else None
        return max(self.door_left, count.until - self._clock() if count else 0.0)

    def accepted(self, name: str) -> None:
        """An attempt for `name` succeeded: the refusals counted for this name are cleared."""
        if self._state.names.pop(name, None) is not None:
            self._save()

    def refused(
        self, name: str | None = None, still: tuple[float, float, float, float] | None = None
    ) -> str | None:
        """Count a refused attempt; a sentence if it has locked something.

        `still` is the box (x, y, width, height) of a face that made no claim: with
        `rules.ignore_still` a face that stays where one was counted within the window does not
        count again.
        """
        if self.left(name) or (still is not None and self._stays(Box(*still))):
            return None
        state, rules, now = self._state, self.rules, self._clock()
        state.door.refused = [*self._recent(state.door.refused), now]
        locked = None
        if name is None:
            state.unnamed = [*self._recent(state.unnamed), now]
        else:
            count = state.names.setdefault(name, _Count())
            count.refused = [*self._recent(count.refused), now]
            if (refused := len(count.refused)) >= rules.attempts:
                state.names[name] = _Count(until=now + rules.duration)
                locked = self._sentence(f"attempts for {name} are", refused)
        every, unnamed = len(state.door.refused), len(state.unnamed)
        if unnamed >= rules.attempts or every >= rules.door_attempts:
            state.door, state.unnamed = _Count(until=now + rules.duration), []
            locked = self._sentence("the door is", max(every, unnamed))
        self._save()
        return locked

    def _sentence(self, what: str, refused: int) -> str:
        return (
            f"{what} locked for {self.rules.duration:.0f} seconds after {refused} refused attempts"
        )

    def _recent(self, times: list[float]) -> list[float]:
        since = self._clock() - self.rules.window
        return [each for each in times if each > since]

    def _stays(self, box: Box) -> bool:
        """Whether a face was counted at this place within the window; it is remembered either way,
        so that a picture on a wall stays ignored for as long as it hangs there."""
        if not self.rules.ignore_still:
            return False
        now = self._clock()
        recent = [(old, seen) for old, seen in self._still if now - seen < self.rules.window]
        others = [(old, seen) for old, seen in recent if overlap(old, box) < _SAME_PLACE]
        self._still = [*others, (box, now)]
        return len(others) < len(recent)

    def _load(self, store: Path) -> None:
        now = self._clock()
        try:
            with store.open("rb") as file:
                state = msgspec.json.decode(file.read(_LARGEST_STATE), type=_State)
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            _log.error(
                "the lockout's file %s cannot be read (%s): the door is locked", store, error
            )
            self._state.door.until = now + self.rules.duration
            return
        # After a reboot nobody knows how long the machine was off: no time counts as passed.
        shift = 0.0 if state.boot == self._state.boot else now - state.saved
        for count in (state.door, *state.names.values()):
            count.refused = [each + shift for each in count.refused]
            # A shorter duration in the settings also shortens a lock that is in force.
            count.until = min(count.until + shift, now + self.rules.duration)
        state.unnamed = [each + shift for each in state.unnamed]
        state.boot = self._state.boot
        self._state = state

    def _save(self) -> None:
        if self._store is None:
            return
        state, now = self._state, self._clock()
        state.saved = now
        state.names = {
            name: count
            for name, count in state.names.items()
            if count.until > now or self._recent(count.refused)
        }
        try:
            write_atomically(self._store, [msgspec.json.encode(state)])
        except OSError as error:  # the counts in memory go on
            _log.error(
                "cannot write %s (%s): the lockout will not survive a restart", self._store, error
            )


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()
