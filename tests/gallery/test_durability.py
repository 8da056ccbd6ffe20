"""The proofs of gallery_proofs.py in a small form; `make prove-gallery` runs them at full size."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from benchmarks.proofs import gallery as proofs
from edgeface.errors import GalleryError
from edgeface.gallery import store as gallery_store
from edgeface.gallery.change import GalleryChange, remove_person
from edgeface.gallery.file import DamagedGallery
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.names import person_name
from edgeface.gallery.store import damaged_of, previous_of
from edgeface.gallery.transfer import restore
from edgeface.system.storage import Folder, locked


def test_a_kill_at_any_moment_loses_nobody_who_was_acknowledged(tmp_path: Path) -> None:
    assert "0 losses" in proofs.random_kills(tmp_path, 30)


def test_every_failing_write_fsync_and_rename_leaves_a_whole_gallery(tmp_path: Path) -> None:
    assert "0 losses" in proofs.every_failure(tmp_path.resolve())


def test_every_flipped_bit_is_noticed_or_healed(tmp_path: Path) -> None:
    assert "0 missed" in proofs.bit_flips(tmp_path, 200)


def test_writers_at_once_lose_nobody(tmp_path: Path) -> None:
    assert proofs.rivals(tmp_path, 4, 10).endswith("40 people")


def test_any_bytes_are_refused_or_a_valid_gallery(tmp_path: Path) -> None:
    assert "valid" in proofs.fuzz(tmp_path, 1500, seed=7)


def test_damage_is_healed_from_the_last_generation_and_said_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "gallery.safetensors"
    proofs.enroll(path, "ada")
    proofs.enroll(path, "bob")
    damaged = path.read_bytes()[:-40]
    path.write_bytes(damaged)
    with caplog.at_level(logging.ERROR, logger="edgeface.gallery"):
        gallery = Gallery.open(path, proofs.MODEL)
    assert gallery.people == [("ada", 3)]
    assert gallery.restored is not None
    assert "damaged" in gallery.restored
    assert "1 people" in gallery.restored
    assert gallery.restored in caplog.text
    assert damaged_of(path).read_bytes() == damaged
    assert Gallery.open(path, proofs.MODEL).restored is None  # it was written back


def test_a_lost_file_is_brought_back(tmp_path: Path) -> None:
    path = tmp_path / "gallery.safetensors"
    proofs.enroll(path, "ada")
    proofs.enroll(path, "bob")
    path.unlink()
    assert "missing" in str(Gallery.open(path, proofs.MODEL).restored)
    assert proofs.held(path) == {"ada"}


def test_damage_to_both_generations_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gallery.safetensors"
    proofs.enroll(path, "ada")
    proofs.enroll(path, "bob")
    for file in (path, previous_of(path)):
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    before = path.read_bytes()
    with pytest.raises(DamagedGallery, match="backup"):
        Gallery.open(path, proofs.MODEL)
    with pytest.raises(DamagedGallery):
        proofs.enroll(path, "cleo")
    assert path.read_bytes() == before


def test_who_was_removed_does_not_come_back_with_an_earlier_generation(tmp_path: Path) -> None:
    path = tmp_path / "gallery.safetensors"
    proofs.enroll(path, "ada")
    proofs.enroll(path, "bob")
    with GalleryChange.open(path, proofs.MODEL) as change:
        change.remove(person_name("bob"))
    path.write_bytes(b"damaged")
    assert proofs.held(path) == {"ada"}
    assert b"bob" not in previous_of(path).read_bytes()


def test_a_gallery_in_use_names_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery.safetensors"
    monkeypatch.setattr(gallery_store, "LOCK_TIMEOUT", 0.05)
    with locked(path, 1), pytest.raises(GalleryError, match=r"in use by PID \d+; try again"):
        proofs.enroll(path, "ada")


def test_a_change_that_fails_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gallery.safetensors"
    proofs.enroll(path, "ada")
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), GalleryChange.open(path, proofs.MODEL) as change:
        change.add("bob", list(proofs.templates_of("bob")))
        raise ZeroDivisionError
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_said_and_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery.safetensors"
    proofs.enroll(path, "ada")
    proofs.enroll(path, "bob")

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Folder, "write", read_only)
    with pytest.raises(GalleryError, match="Read-only file system; the old one is unchanged"):
        proofs.enroll(path, "cleo")
    assert proofs.held(path) == {"ada", "bob"}
    path.write_bytes(b"damaged")
    assert "could not be written back" in str(Gallery.open(path, proofs.MODEL).restored)


def no_room(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The disk is full: a file in `folder` takes room only as far as others there gave it up."""
    room = sum(path.stat().st_size for path in folder.iterdir())
    write = os.write

    def limited(handle: int, data: bytes) -> int:
        size = os.fstat(handle).st_size
        growth = max(0, os.lseek(handle, 0, os.SEEK_CUR) + len(data) - size)
        files = {path.stat().st_ino: path.stat().st_size for path in folder.iterdir()}
        if sum(files.values()) + growth > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data)

    monkeypatch.setattr(os, "write", limited)


@pytest.mark.parametrize("generations", [1, 2, 3])
def test_a_full_disk_keeps_nobody_from_removing(
    generations: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery.safetensors"
    names = ("ada", "bob", "cleo")
    with GalleryChange.open(path, proofs.MODEL) as change:
        change.add_people({name: proofs.templates_of(name) for name in names[generations - 1 :]})
    for name in names[: generations - 1]:
        proofs.enroll(path, name)
    with monkeypatch.context() as full:
        no_room(full, tmp_path)
        with pytest.raises(GalleryError, match="No space left"):
            proofs.enroll(path, "dora")
        remove_person(path, proofs.MODEL, None, person_name("cleo"))
    assert proofs.held(path) == {"ada", "bob"}
    assert not any(b"cleo" in file.read_bytes() for file in tmp_path.iterdir())
    proofs.enroll(path, "cleo")  # there is room again
    assert previous_of(path).exists()


def test_a_disk_that_does_not_give_the_gallery_back_is_healed_like_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery.safetensors"
    proofs.enroll(path, "ada")
    proofs.enroll(path, "bob")
    bad = path.stat().st_ino
    fdopen = os.fdopen

    def failing(handle: int, mode: str) -> IO[Any]:
        if os.fstat(handle).st_ino == bad:
            os.close(handle)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return fdopen(handle, mode)

    monkeypatch.setattr(os, "fdopen", failing)
    gallery = Gallery.open(path, proofs.MODEL)
    assert gallery.people == [("ada", 3)]
    assert "the disk does not give it back: Input/output error" in str(gallery.restored)
    assert Gallery.open(path, proofs.MODEL).restored is None
    previous_of(path).unlink()
    bad = path.stat().st_ino
    with pytest.raises(DamagedGallery, match="edgeface gallery restore FILE"):
        Gallery.open(path, proofs.MODEL)


def test_what_cannot_be_read_back_never_takes_the_galleries_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery.safetensors"
    proofs.enroll(path, "ada")
    before = path.read_bytes()
    write = os.write
    with monkeypatch.context() as failing:
        failing.setattr(os, "write", lambda handle, data: write(handle, bytes(len(data))))
        with pytest.raises(GalleryError, match=r"was not changed: .* cannot be read back"):
            proofs.enroll(path, "bob")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir() if "unfinished" in file.name] == []


@pytest.mark.parametrize("factor", [0.0, float("nan"), float("inf"), 2.0])
def test_what_is_no_template_is_not_added(factor: float, tmp_path: Path) -> None:
    path = tmp_path / "gallery.safetensors"
    proofs.enroll(path, "ada")
    before = path.read_bytes()
    wrong = proofs.templates_of("bob") * np.float32(factor)
    with (
        pytest.raises(GalleryError, match="not of unit length"),
        GalleryChange.open(path, proofs.MODEL) as change,
    ):
        change.add("bob", list(wrong))
    assert path.read_bytes() == before


def test_what_is_no_ordinary_file_is_no_gallery_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    path, target = tmp_path / "gallery.safetensors", tmp_path / "target"
    proofs.enroll(target, "ada")
    os.mkfifo(path)
    for attempt in (lambda: Gallery.open(path, proofs.MODEL), lambda: proofs.enroll(path, "bob")):
        with pytest.raises(GalleryError, match="no ordinary file; check its owner"):
            attempt()
    path.unlink()
    path.symlink_to(target)
    before = target.read_bytes()
    for attempt in (
        lambda: Gallery.open(path, proofs.MODEL),
        lambda: proofs.enroll(path, "bob"),
        lambda: restore(target, None, path, proofs.MODEL, None),
    ):
        with pytest.raises(GalleryError, match=f"is a symbolic link.*leads to: {target}"):
            attempt()
    assert path.is_symlink()
    assert target.read_bytes() == before


def test_a_gallery_mounted_as_a_single_file_names_the_folder_to_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery.safetensors"
    proofs.enroll(path, "ada")
    before, replace = path.read_bytes(), os.replace

    def busy(old: str, new: str, **more: int) -> None:
        """As the kernel does for a mount point (rename(2))."""
        if new == path.name:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        replace(old, new, **more)

    monkeypatch.setattr(os, "replace", busy)
    with pytest.raises(GalleryError, match=f"single file.*; mount the folder {tmp_path} instead"):
        proofs.enroll(path, "bob")
    assert path.read_bytes() == before


def test_a_healed_gallery_counts_as_a_change(tmp_path: Path) -> None:
    """Its number is above that of what was lost, so that nobody takes it for an older copy."""
    path = tmp_path / "gallery.safetensors"
    for name in ("ada", "bob", "cleo"):
        proofs.enroll(path, name)
    lost = Gallery.open(path, proofs.MODEL).generation
    path.write_bytes(b"damaged")
    assert Gallery.open(path, proofs.MODEL).generation > lost
    assert Gallery.open(path, proofs.MODEL).generation > lost
