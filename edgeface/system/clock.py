"""Clock: whether the time of this machine can be trusted, and what it is.

Takes in what the system says about its clock, hands on the local time, or the sentence why it
cannot be relied on. A Raspberry Pi without a clock that a battery drives begins, at every start,
with the time of the last one. It sets no clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

_BUILT = 1_764_000_000.0  # seconds since 1970: no clock that is right shows an earlier time
_SYNCHRONIZED = (
    "run/systemd/timesync/synchronized"  # systemd-timesyncd makes it with the first answer
)
_RTC = "sys/class/rtc"
_APART = 60.0  # seconds by which a clock chip and the system may differ
_BACK = 300.0  # seconds by which a clock may be set back


class Clock:
    """This machine's clock. `root` is the file system's; `now` counts seconds since 1970."""

    def __init__(
        self, trusted: bool = False, root: Path = Path("/"), now: Callable[[], float] = time.time
    ) -> None:
        """`trusted`: whoever runs the machine vouches for the time."""
        self.trusted = trusted
        self._root, self._now = root, now
        self._latest = _BUILT

    def local(self) -> datetime:
        """The time, in the machine's time zone."""
        return datetime.fromtimestamp(self._now()).astimezone()

    def note(self, moment: float) -> None:
        """It was surely this late once: what lies well before is not the time."""
        self._latest = max(self._latest, moment)

    def doubt(self) -> str | None:
        """Why the time cannot be relied on; None where it can."""
        now = self._now()
        if now < self._latest - _BACK:
            return "the clock was set back; set it right, then restart the service"
        if not self.trusted and not self._confirmed(now):
            return (
                "nothing confirms the clock: no time server has answered since the start, and no "
                'clock chip agrees; if it is right nevertheless, set [rules] clock = "trusted"'
            )
        self.note(now)
        return None

    def _confirmed(self, now: float) -> bool:
        if (self._root / _SYNCHRONIZED).exists():
            return True
        return any(_agrees(chip, now) for chip in (self._root / _RTC).glob("rtc*"))


def _agrees(chip: Path, now: float) -> bool:
    """Whether a clock chip shows this time."""
    try:
        shown = int((chip / "since_epoch").read_text())
    except (OSError, ValueError):
        return False
    return abs(shown - now) <= _APART
