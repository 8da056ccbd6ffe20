"""The lockout counts refusals in a row; the governor slows down before the firmware does."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.service.config import LockoutSettings as Rules
from edgeface.service.lockout import Lockout
from edgeface.system.thermal import Governor, hottest
from edgeface.system.units import Seconds


def test_refusals_in_a_row_lock_for_a_while() -> None:
    now = [0.0]
    lockout = Lockout(Rules(attempts=3, duration=Seconds(60)), lambda: now[0])
    assert [lockout.refused() for _ in range(3)] == [False, False, True]
    assert lockout.left == 60
    now[0] = 30
    assert not lockout.refused()  # does not prolong it
    now[0] = 61
    assert lockout.left == 0
    assert [lockout.refused() for _ in range(3)] == [False, False, True]


def test_an_accepted_attempt_begins_the_count_anew() -> None:
    lockout = Lockout(Rules(attempts=2))
    assert not lockout.refused()
    lockout.accepted()
    assert not lockout.refused()
    assert lockout.refused()


def zone(folder: Path, number: int, text: str) -> None:
    (folder / f"thermal_zone{number}").mkdir(exist_ok=True)
    (folder / f"thermal_zone{number}" / "temp").write_text(text)


@pytest.mark.parametrize(
    ("degrees", "share"), [(40, 1.0), (70, 1.0), (75, 0.6), (80, 0.2), (95, 0.2)]
)
def test_the_rate_falls_with_the_heat_of_the_hottest_zone(
    tmp_path: Path, degrees: int, share: float
) -> None:
    zone(tmp_path, 0, "35000\n")
    zone(tmp_path, 1, f"{degrees * 1000}\n")
    zone(tmp_path, 2, "asleep")
    assert Governor(70, 80, tmp_path).share() == pytest.approx(share)
    assert hottest(tmp_path) == degrees


def test_a_machine_without_sensors_runs_at_full_rate(tmp_path: Path) -> None:
    assert Governor(70, 80, tmp_path).share() == 1.0
