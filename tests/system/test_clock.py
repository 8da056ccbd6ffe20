"""The clock: trusted when a time server or a clock chip confirms it, or its owner does."""

from __future__ import annotations

from pathlib import Path

from edgeface.system.clock import Clock

NOW = 1_795_600_000.0  # in November 2026


class Turned:
    """Seconds since 1970 that the test turns."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def synchronize(root: Path) -> None:
    marker = root / "run/systemd/timesync/synchronized"
    marker.parent.mkdir(parents=True)
    marker.touch()


def chip(root: Path, shows: str, name: str = "rtc0") -> None:
    folder = root / "sys/class/rtc" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "since_epoch").write_text(shows)


def test_a_clock_that_nothing_confirms_is_not_trusted(tmp_path: Path) -> None:
    assert "nothing confirms" in str(Clock(root=tmp_path, now=Turned()).doubt())
    chip(tmp_path, f"{NOW - 90 * 86400:.0f}\n")  # one without a battery
    assert "nothing confirms" in str(Clock(root=tmp_path, now=Turned()).doubt())
    chip(tmp_path, "no number")
    assert "nothing confirms" in str(Clock(root=tmp_path, now=Turned()).doubt())


def test_a_time_server_a_clock_chip_or_the_owner_confirms_it(tmp_path: Path) -> None:
    by_server, by_chip = tmp_path / "server", tmp_path / "chip"
    synchronize(by_server)
    chip(by_chip, "5", "rtc0")
    chip(by_chip, f"{NOW - 20:.0f}\n", "rtc1")
    assert Clock(root=by_server, now=Turned()).doubt() is None
    assert Clock(root=by_chip, now=Turned()).doubt() is None
    assert Clock(trusted=True, root=tmp_path, now=Turned()).doubt() is None


def test_no_clock_that_is_behind_is_trusted_whoever_vouches_for_it(tmp_path: Path) -> None:
    synchronize(tmp_path)
    assert "set back" in str(Clock(root=tmp_path, now=Turned(1_000_000.0)).doubt())
    now = Turned()
    for clock in (Clock(root=tmp_path, now=now), Clock(trusted=True, root=tmp_path, now=now)):
        now.now = NOW
        assert clock.doubt() is None
        now.now -= 100  # what a time server may correct
        assert clock.doubt() is None
        now.now -= 3600
        assert "set back" in str(clock.doubt())
        now.now = NOW + 1
        assert clock.doubt() is None
        clock.note(NOW + 86400)
        assert "set back" in str(clock.doubt())
