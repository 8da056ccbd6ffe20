"""Files are replaced as a whole or not at all, by one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeface.system.storage import Folder, InUse, locked, open_regular, write_atomically, write_new


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

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as failing, pytest.raises(OSError, match="No space left"):
        failing.setattr(os, operation, fail)
        write_atomically(path, [b"new"])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        left = folder.write("file", [b"half"])
        other = folder.write("other", [b"half"])
        folder.sweep("file")
        assert not folder.exists(left)
        assert folder.exists(other)


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


def links(folder: Path, target: Path) -> dict[str, Path]:
    """What somebody who owns a folder can put there for others to write through."""
    made = {"link": folder / "link", "pipe": folder / "pipe", "folder": folder / "folder"}
    made["link"].symlink_to(target)
    os.mkfifo(made["pipe"])
    made["folder"].mkdir()
    return made


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_an_ordinary_file_is_opened_and_no_link_followed(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    path = links(tmp_path, target)[kind]
    with pytest.raises(OSError, match=r"symbolic link|no ordinary file"):
        open_regular(path)


@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_a_lock_that_leads_to_another_file_is_refused(kind: str, tmp_path: Path) -> None:
    target, lock = tmp_path / "target", tmp_path / "file.lock"
    target.write_bytes(b"precious")
    (lock.symlink_to if kind == "symbolic" else lock.hardlink_to)(target)
    before = target.stat()
    with pytest.raises(OSError, match=r"is a symbolic link|is also another file"):
        locked(tmp_path / "file", 0.1).__enter__()
    after = target.stat()
    assert target.read_bytes() == b"precious"
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)


def test_a_link_is_replaced_and_never_written_through(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "file"
    target.write_bytes(b"precious")
    path.symlink_to(target)
    write_atomically(path, [b"new"])
    assert target.read_bytes() == b"precious"
    assert not path.is_symlink()
    assert path.read_bytes() == b"new"


def test_a_new_file_takes_nothings_place(tmp_path: Path) -> None:
    (tmp_path / "there").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "there", [b"new"])
    assert not (tmp_path / "nowhere").exists()
    write_new(tmp_path / "new" / "file", [b"new"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_a_folder_stays_the_one_that_was_opened(tmp_path: Path) -> None:
    """Whoever owns the folder above cannot lead a writer elsewhere in the middle of its work."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "elsewhere").mkdir()
    with Folder(tmp_path / "folder") as folder:
        (tmp_path / "folder").rename(tmp_path / "moved")
        (tmp_path / "folder").symlink_to("elsewhere")
        folder.replace(folder.write("file", [b"new"]), "file")
    assert (tmp_path / "moved" / "file").read_bytes() == b"new"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_way_of_links_and_parents_leads_where_it_does_for_everybody(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x")
    (tmp_path / "absolute").symlink_to(tmp_path / "a")
    (tmp_path / "relative").symlink_to("a/../a/b")
    for path in ("absolute/b/file", "relative/file", "relative/../b/file"):
        os.close(open_regular(tmp_path / path))
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(OSError, match="symbolic link"):
        open_regular(tmp_path / "round" / "file")


def test_a_full_disk_keeps_nobody_from_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with locked(tmp_path / "file", 1), pytest.raises(InUse), locked(tmp_path / "file", 0.02):
        pass
