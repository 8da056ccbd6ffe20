"""The GPIO output on gpiozero's own mock pins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgeface.cli import main
from edgeface.sinks import Outlet, SinkError
from edgeface.sinks.gpio import Gpio, Held
from edgeface.sinks.settings import GpioSettings as Settings
from edgeface.system.units import Seconds
from tests.helpers.command import call
from tests.helpers.sinks import event, fresh, wait_until

gpiozero = pytest.importorskip("gpiozero", reason="gpiozero is not installed")


@pytest.fixture
def pin() -> Iterator[Any]:
    from gpiozero.pins.mock import MockFactory

    before = gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory = MockFactory()
    yield gpiozero.Device.pin_factory.pin(17)
    gpiozero.Device.pin_factory.reset()
    gpiozero.Device.pin_factory = before


def outlet(kind: type[Gpio] = Gpio, **settings: Any) -> Outlet:
    chosen = Settings(pin=17, pulse=Seconds(0.3), **settings)
    return Outlet(lambda: kind(chosen), "gpio", chosen.events, 10)


def test_a_recognition_gives_a_pulse_of_the_set_length(pin: Any) -> None:
    door = outlet()
    wait_until(lambda: pin.function == "output")
    door.put(event())
    wait_until(lambda: pin.state == 1)
    wait_until(lambda: pin.state == 0)
    on, off = pin.states[-2:]
    assert (on.state, off.state) == (1, 0)
    assert off.timestamp == pytest.approx(0.3, abs=0.15)  # mock pins count from the last change
    door.close()


def test_nothing_opens_for_a_stranger_or_for_somebody_not_listed(pin: Any) -> None:
    door = outlet(people=("ada",))
    door.put(event("unknown", None))
    door.put(event(name="bob"))
    wait_until(lambda: door.delivered == 1)
    assert all(state.state == 0 for state in pin.states)
    door.close()


def test_nothing_opens_for_a_recognition_of_long_ago(pin: Any) -> None:
    door = outlet()
    then = (datetime.now(UTC) - timedelta(seconds=10)).isoformat()
    door.put(msgspec.structs.replace(event(), time=then))
    door.put(event(), seen=time.monotonic() - 3.5)
    door.put(event(), seen=time.monotonic() + 60)
    wait_until(lambda: door.lost == 3)
    assert all(state.state == 0 for state in pin.states)
    door.close()


def test_the_output_is_off_after_the_service_ends_in_the_middle_of_a_pulse(pin: Any) -> None:
    door = outlet()
    door.put(event())
    wait_until(lambda: pin.state == 1)
    door.close()
    assert pin.states[-1].state == 0


def test_an_output_that_is_on_when_low_rests_high(pin: Any) -> None:
    door = outlet(active_high=False)
    wait_until(lambda: pin.function == "output")
    assert pin.state == 1
    door.put(event())
    wait_until(lambda: pin.state == 0)
    wait_until(lambda: pin.state == 1)
    door.close()


class Crashing(Gpio):
    """Breaks while the output is on."""

    def idle(self) -> float:
        if self._off_at is not None:
            raise RuntimeError("the driver broke")
        return super().idle()


def test_the_output_is_off_after_the_sink_crashes_in_the_middle_of_a_pulse(pin: Any) -> None:
    door = outlet(Crashing)
    door.put(event())
    wait_until(lambda: any(state.state for state in pin.states))
    wait_until(lambda: pin.state == 0)
    time.sleep(0.05)
    assert pin.state == 0
    door.close()


@pytest.mark.parametrize("now", ["[gpio]\npin = 27\n", "", "[gpio\n", None])
def test_after_a_kill_the_pin_goes_off_that_was_held_whatever_the_settings_say(
    pin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: str | None
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    settings = tmp_path / "edgeface.toml"
    held = Gpio(Settings(pin=17, active_high=False))
    held.deliver(event(), None, fresh)
    assert pin.state == 0  # on
    held._output._pin = None  # killed: nothing is closed
    gpiozero.Device.pin_factory.reset()
    pin = gpiozero.Device.pin_factory.pin(17)
    pin.function, pin.state = "output", 0
    if now is not None:
        settings.write_text(now)
    done = call(main, "service", "outputs-off", "--config", settings)
    assert done.status == 0, done.stderr
    assert pin.states[-1].state == 1
    assert gpiozero.Device.pin_factory.pin(27).states[-1].state == 0  # never touched


def test_an_output_that_was_let_go_is_not_switched_off_later(
    pin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    old = Gpio(Settings(pin=17))
    assert Held.noted() == Held(17, True)
    old.close()
    assert Held.noted() is None
    new = Gpio(Settings(pin=27))
    Held(17, True).forget()  # an old one that closes late
    assert Held.noted() == Held(27, True)
    new.close()


def test_a_pin_that_cannot_be_noted_is_not_used(
    pin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "file"))
    with pytest.raises(SinkError, match="which pin is held"):
        Gpio(Settings(pin=17))
    assert pin.function == "input"
