"""A GPIO output that is on for a while after a recognition: a relay, a door opener, a lamp.

Takes in events, drives one pin through gpiozero. Off is the state of rest: when it is opened, after
the pulse, when the sink fails, when the service ends. A recognition during a pulse prolongs it.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any

from edgeface.errors import ConfigError
from edgeface.events import Event
from edgeface.pipeline.pictures import Picture
from edgeface.sinks import Left
from edgeface.sinks.settings import GpioSettings


class Gpio:
    """One output pin, off until told otherwise."""

    name = "gpio"
    acts = True

    def __init__(self, settings: GpioSettings) -> None:
        try:
            gpiozero = import_module("gpiozero")
        except ImportError:
            raise ConfigError(
                "GPIO needs gpiozero; install it with: sudo apt install python3-gpiozero, or pip "
                "install 'edgeface[gpio]'"
            ) from None
        self._settings = settings
        self._off_at: float | None = None
        try:
            self._output: Any = gpiozero.OutputDevice(
                settings.pin, active_high=settings.active_high, initial_value=False
            )
        except gpiozero.GPIOZeroError as error:
            raise ConfigError(f"GPIO {settings.pin} cannot be used: {error}") from None

    def deliver(self, event: Event, picture: Picture | None, left: Left) -> None:
        people = self._settings.people
        if people is not None and event.name not in people:
            return
        self._output.on()
        self._off_at = time.monotonic() + self._settings.pulse

    def idle(self) -> float:
        if self._off_at is None:
            return 60.0
        left = self._off_at - time.monotonic()
        if left > 0:
            return left
        self._output.off()
        self._off_at = None
        return 60.0

    def close(self) -> None:
        if not self._output.closed:
            self._output.off()
            self._output.close()
