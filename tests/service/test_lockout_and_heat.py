"""The lockout counts refusals; the governor slows down before the firmware does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeface.service.config import LockoutSettings as Rules
from edgeface.service.lockout import Lockout
from edgeface.system.thermal import Governor, hottest
from edgeface.system.units import Seconds


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_refusals_lock_for_a_while() -> None:
    clock = Clock()
    lockout = Lockout(Rules(attempts=3, duration=Seconds(60)), clock)
    locked = [lockout.refused() for _ in range(3)]
    assert locked == [None, None, "the door is locked for 60 seconds after 3 refused attempts"]
    assert lockout.door_left == 60
    clock.now = 30
    assert lockout.refused() is None  # does not prolong it
    clock.now = 61
    assert lockout.door_left == 0
    assert [bool(lockout.refused()) for _ in range(3)] == [False, False, True]


def test_each_name_has_a_count_of_its_own_that_only_its_own_acceptance_clears() -> None:
    lockout = Lockout(Rules(attempts=2), Clock())
    assert not lockout.refused("ada")
    lockout.accepted("joe")
    assert lockout.refused("ada")
    assert lockout.left("ada") > 0
    assert lockout.left("joe") == lockout.door_left == 0
    assert not lockout.refused("joe")
    lockout.accepted("joe")
    assert not lockout.refused("joe")
    assert lockout.longest_left == lockout.left("ada")


def test_trying_one_name_after_another_locks_the_door() -> None:
    lockout = Lockout(Rules(attempts=3, door_attempts=4), Clock())
    locked = [lockout.refused(name) for name in ("a", "b", "c", "d")]
    assert [bool(sentence) for sentence in locked] == [False, False, False, True]
    assert lockout.left("somebody else") > 0


def test_old_refusals_do_not_count() -> None:
    clock = Clock()
    lockout = Lockout(Rules(attempts=2, window=Seconds(300)), clock)
    for _ in range(20):  # a portrait that is uncovered every ten minutes
        assert not lockout.refused()
        clock.now += 600
    assert not lockout.refused()
    clock.now += 299
    assert lockout.refused()


def test_a_still_face_counts_once_where_it_is_to_be_ignored() -> None:
    clock, on_the_wall = Clock(), (100.0, 50.0, 80.0, 80.0)
    lockout = Lockout(Rules(attempts=2, ignore_still=True), clock)
    for _ in range(50):
        assert not lockout.refused(still=on_the_wall)
        clock.now += 30
    assert lockout.refused(still=(400.0, 50.0, 80.0, 80.0)) is None  # the portrait's has expired
    assert lockout.refused(still=(250.0, 50.0, 80.0, 80.0))
    counting = Lockout(Rules(attempts=2), Clock())
    assert not counting.refused(still=on_the_wall)
    assert counting.refused(still=on_the_wall)


def test_a_restart_changes_neither_locks_nor_counts(tmp_path: Path) -> None:
    clock, store = Clock(), tmp_path / "lockout.json"
    rules = Rules(attempts=2, duration=Seconds(60))
    before = Lockout(rules, clock, store)
    before.refused("ada")
    before.refused("ada")
    before.refused("joe")
    assert store.stat().st_mode & 0o777 == 0o600
    clock.now = 20
    after = Lockout(rules, clock, store)
    assert after.left("ada") == 40
    assert after.refused("joe")


def test_after_a_reboot_no_time_has_passed(tmp_path: Path) -> None:
    clock, store = Clock(), tmp_path / "lockout.json"
    clock.now = 5000.0
    Lockout(Rules(attempts=1, duration=Seconds(60)), clock, store).refused("ada")
    state = json.loads(store.read_text())
    store.write_text(json.dumps({**state, "boot": "another"}))
    clock.now = 3.0  # the clock starts again with the machine
    assert Lockout(Rules(attempts=1), clock, store).left("ada") == 60


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2", b"\xff" * 100, b'{"boot": 1}'])
def test_a_state_that_cannot_be_read_locks_the_door(tmp_path: Path, content: bytes) -> None:
    store = tmp_path / "lockout.json"
    store.write_bytes(content)
    assert Lockout(Rules(duration=Seconds(60)), Clock(), store).door_left == 60


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
