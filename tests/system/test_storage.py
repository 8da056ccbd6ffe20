"""Files are replaced as a whole or not at all, by one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeface.system.storage import InUse, locked, sweep, write_atomically, write_beside


def test_a_file_is_replaced_by_the_joined_chunks(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, [b"one ", memoryview(b"two")])
    write_atomically(path, [b"three"])
    assert path.read_bytes() == b"three"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:7]))
    write_atomically(tmp_path / "file", [b"0123456789" * 5])
    assert (tmp_path / "file").read_bytes() == b"0123456789" * 5


@pytest.mark.parametrize("operation", ["write", "fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    operation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as failing, pytest.raises(OSError, match="No space left"):
        failing.setattr(os, operation, fail)
        write_atomically(path, [b"new"])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    left = write_beside(tmp_path / "file", [b"half"])
    other = write_beside(tmp_path / "other", [b"half"])
    sweep(tmp_path / "file")
    assert not left.exists()
    assert other.exists()


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from edgeface.system.storage import locked\n"
        "with locked(Path(sys.argv[1]), 1): print('held', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "file"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(InUse, match=f"in use by PID {holder.pid}"), locked(path, 0.05):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with locked(path, 5):
        assert (tmp_path / "file.lock").read_text() == f"{os.getpid()}\n"


def test_threads_of_one_process_exclude_each_other_too(tmp_path: Path) -> None:
    with locked(tmp_path / "file", 1), pytest.raises(InUse), locked(tmp_path / "file", 0.02):
        pass
