"""A GPIO output that is on for a while after a recognition: a relay, a door opener, a lamp.

Takes in events, drives one pin through gpiozero. Off is the state of rest: when it is opened, after
the pulse, when the sink fails, when the service ends. A recognition during a pulse prolongs it.
Which pin it holds stands in the service's runtime folder, so that after a kill the right one is
switched off, whatever the settings say by then.
"""

from __future__ import annotations

import os
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from edgeface.errors import ConfigError
from edgeface.events import Event
from edgeface.pipeline.pictures import Picture
from edgeface.sinks import Left, SinkError
from edgeface.sinks.settings import GpioSettings
from edgeface.system.storage import write_atomically


class Gpio:
    """One output pin, off until told otherwise."""

    name = "gpio"
    acts = True

    def __init__(self, settings: GpioSettings) -> None:
        self._settings = settings
        self._off_at: float | None = None
        self._held = Held(settings.pin, settings.active_high)
        self._held.note()
        self._output = _open_output(self._held)

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
            self._held.forget()


class Held(msgspec.Struct, frozen=True):
    """The output that the service holds, as noted where only it may write."""

    pin: int
    active_high: bool

    @classmethod
    def noted(cls) -> Held | None:
        """What a service that has ended held; None if there is no note."""
        path = _note()
        try:
            return None if path is None else msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return None

    def note(self) -> None:
        """Before the output is opened; SinkError when it cannot be, and then it is not opened."""
        path = _note()
        try:
            if path is not None:
                write_atomically(path, [msgspec.json.encode(self)])
        except OSError as error:
            raise SinkError(f"cannot note in {path} which pin is held ({error.strerror})") from None

    def forget(self) -> None:
        """After the output was closed, off."""
        path = _note()
        if path is not None and Held.noted() == self:
            path.unlink(missing_ok=True)


def switch_off(held: Held) -> None:
    """Bring an output to rest whose service has ended; ConfigError when it cannot be."""
    output = _open_output(held)
    output.off()
    output.close()
    held.forget()


def _note() -> Path | None:
    """Where it is noted: the runtime folder, which systemd names and removes after the unit."""
    folder = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(folder) / "gpio.json" if folder else None


def _open_output(held: Held) -> Any:
    try:
        gpiozero = import_module("gpiozero")
    except ImportError:
        raise ConfigError(
            "GPIO needs gpiozero; install it with: sudo apt install python3-gpiozero, or pip "
            "install 'edgeface[gpio]'"
        ) from None
    try:
        return gpiozero.OutputDevice(held.pin, active_high=held.active_high, initial_value=False)
    except gpiozero.GPIOZeroError as error:
        raise ConfigError(f"GPIO {held.pin} cannot be used: {error}") from None
