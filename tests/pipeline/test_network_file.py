"""What is run is what was checked, whatever becomes of the file's name and bytes in between."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeface.errors import ModelError
from edgeface.pipeline import detect, model_file, trial
from edgeface.pipeline.detect import Detector
from edgeface.pipeline.encode import Encoder
from edgeface.pipeline.model_file import default_model_path, load_model, models_folder
from edgeface.pipeline.network_file import NetworkFile

_TICK = 0.02  # seconds: the kernel's times of files are this coarse


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    shutil.copy(default_model_path(), path)
    time.sleep(_TICK)
    return path


def _write_into(path: Path) -> None:
    """Change one weight, and set the time of the file back."""
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=times)


def _replace(path: Path) -> None:
    """Put another network, which runs as well, in the place of a checked one."""
    other = path.with_name("other")
    shutil.copy(path, other)
    _write_into(other)
    os.replace(other, path)


@pytest.mark.parametrize("meddle", [_write_into, _replace])
def test_a_model_that_is_another_one_after_its_check_is_not_used(
    copy: Path, meddle: Callable[[Path], None]
) -> None:
    model = load_model(copy)
    meddle(copy)
    with pytest.raises(ModelError, match="was changed after it was checked"):
        Encoder(model, threads=1)


def test_the_trial_and_the_run_of_an_unknown_model_are_of_one_file(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_file, "SHIPPED", {})
    model = load_model(copy)
    monkeypatch.setattr(trial, "try_out", lambda model: _replace(copy))  # when it came through
    with pytest.raises(ModelError, match="was changed after it was checked"):
        Encoder(model, threads=1)


@pytest.mark.parametrize("meddle", [_write_into, _replace])
def test_a_shipped_network_that_is_another_one_after_its_check_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meddle: Callable[[Path], None]
) -> None:
    shutil.copy(models_folder() / detect.NETWORK_FILE, tmp_path)
    time.sleep(_TICK)
    monkeypatch.setattr(model_file, "models_folder", lambda: tmp_path)
    checked = model_file.shipped_network

    def another_at_once(name: str, sha256: str) -> NetworkFile:
        file = checked(name, sha256)
        meddle(tmp_path / name)
        return file

    monkeypatch.setattr(detect, "shipped_network", another_at_once)
    with pytest.raises(ModelError, match="was changed after it was checked"):
        Detector(1)


def test_a_file_is_closed_with_the_model_that_holds_it(copy: Path) -> None:
    model = load_model(copy)
    assert model.file is not None
    handle = model.file.handle
    assert os.path.samestat(os.fstat(handle), copy.stat())
    del model
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handle)
