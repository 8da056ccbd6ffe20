"""The snapshot folder stays within its size and age, and touches nothing else in it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from edgeface.errors import ConfigError
from edgeface.sinks import SinkError
from edgeface.sinks.settings import SnapshotsSettings as Settings
from edgeface.sinks.snapshots import Snapshots
from edgeface.system.units import Bytes, Seconds
from tests.helpers.images import read_image
from tests.helpers.sinks import event, fresh


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8)


def test_a_snapshot_is_a_picture_named_after_when_who_and_which_event(tmp_path: Path) -> None:
    sink = Snapshots(Settings(folder=str(tmp_path / "s")))
    sink.deliver(event(name="Ada L/../x"), picture(), fresh)
    (path,) = (tmp_path / "s").iterdir()
    assert "Ada_L____x" in path.name
    assert read_image(path).shape == (64, 64, 3)
    assert path.stat().st_mode & 0o077 == 0


def test_a_name_of_any_length_and_script_fits_into_a_files(tmp_path: Path) -> None:
    sink = Snapshots(Settings(folder=str(tmp_path)))
    sink.deliver(event(name="a" + "\u5f20" * 300), picture(), fresh)
    (path,) = tmp_path.iterdir()
    assert "-a\u5f20" in path.name
    assert len(path.name.encode()) < 220


def test_the_folder_keeps_the_newest_within_its_size(tmp_path: Path) -> None:
    sink = Snapshots(Settings(folder=str(tmp_path), size=Bytes(20_000)))
    (tmp_path / "mine.jpg").write_bytes(b"x" * 50_000)
    for seed in range(20):
        sink.deliver(event(), picture(seed), fresh)
        time.sleep(0.002)  # the names begin with the time in milliseconds
    ours = [path for path in tmp_path.iterdir() if path.name != "mine.jpg"]
    assert 1 <= len(ours) < 20
    assert sum(path.stat().st_size for path in ours) <= 20_000
    assert (tmp_path / "mine.jpg").exists()


def test_old_pictures_go_without_a_new_event(tmp_path: Path) -> None:
    sink = Snapshots(Settings(folder=str(tmp_path), age=Seconds(60)))
    sink.deliver(event(), picture(), fresh)
    (path,) = tmp_path.iterdir()
    sink.idle()
    assert path.exists()
    os.utime(path, (time.time() - 100,) * 2)
    sink.idle()
    assert not path.exists()


def test_a_folder_that_cannot_be_written_is_tried_again_later(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sink = Snapshots(Settings(folder=str(tmp_path / "file")))
    with pytest.raises(SinkError):
        sink.deliver(event(), picture(), fresh)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o755, 0o701])
def test_a_folder_that_others_share_is_refused(mode: int, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ConfigError, match=rf"mode {mode:04o}\); run: chmod 700"):
        Snapshots(Settings(folder=str(folder)))
    folder.chmod(0o750)  # to look at them is for the owner to allow
    sink = Snapshots(Settings(folder=str(folder)))
    folder.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 700"):
        sink.deliver(event(), picture(), fresh)
    assert list(folder.iterdir()) == []


def test_no_link_in_the_folder_is_followed(tmp_path: Path) -> None:
    target, folder = tmp_path / "target", tmp_path / "s"
    target.write_bytes(b"x" * 50_000)
    folder.mkdir(0o700)
    sink = Snapshots(Settings(folder=str(folder), size=Bytes(1)))
    (folder / "20260101T000000Z-ada-1.jpg").symlink_to(target)
    sink.deliver(event(), picture(), fresh)
    assert target.read_bytes() == b"x" * 50_000
