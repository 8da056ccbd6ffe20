"""Thermal: slows the loop down before the firmware does.

Takes in the kernel's thermal zones, hands on the share of the full rate to run at. Full rate below
`warm`, a fifth of it from `hot` on, linear between.
"""

from __future__ import annotations

import time
from pathlib import Path

ZONES = Path("/sys/class/thermal")

_LEAST = 0.2  # share of the full rate that is kept however hot it is
_PAUSE = 5.0  # seconds between readings


class Governor:
    """Reads the hottest zone every few seconds."""

    def __init__(self, warm: float, hot: float, zones: Path = ZONES) -> None:
        self._warm, self._hot, self._zones = warm, hot, zones
        self._read_at = -_PAUSE
        self.temperature: float | None = None

    def share(self) -> float:
        """The share of the full frame rate to run at, 0.2 to 1."""
        now = time.monotonic()
        if now - self._read_at >= _PAUSE:
            self._read_at, self.temperature = now, hottest(self._zones)
        if self.temperature is None:
            return 1.0
        over = (self.temperature - self._warm) / (self._hot - self._warm)
        return 1.0 - (1.0 - _LEAST) * min(1.0, max(0.0, over))


def hottest(zones: Path = ZONES) -> float | None:
    """The temperature of the hottest zone in degrees Celsius; None where there is no sensor."""
    found = []
    for file in zones.glob("thermal_zone*/temp"):
        try:
            found.append(int(file.read_text()) / 1000)
        except (OSError, ValueError):
            continue  # a sensor may be asleep
    return max(found, default=None)
