"""The proofs of gallery_proofs.py in a small form; `make prove-gallery` runs them at full size."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from benchmarks.proofs import gallery as proofs
from edgeface.errors import GalleryError
from edgeface.gallery import Gallery
from edgeface.gallery import store as gallery_store
from edgeface.gallery.file import DamagedGallery
from edgeface.gallery.store import damaged_of, previous_of
from edgeface.system.storage import locked


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
    with Gallery.changing(path, proofs.MODEL) as gallery:
        gallery.remove("bob")
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
    with pytest.raises(ZeroDivisionError), Gallery.changing(path, proofs.MODEL) as gallery:
        gallery.add("bob", list(proofs.templates_of("bob")))
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

    monkeypatch.setattr(gallery_store, "write_beside", read_only)
    monkeypatch.setattr(gallery_store, "write_atomically", read_only)
    with pytest.raises(GalleryError, match="Read-only file system; the old one is unchanged"):
        proofs.enroll(path, "cleo")
    assert proofs.held(path) == {"ada", "bob"}
    path.write_bytes(b"damaged")
    assert "could not be written back" in str(Gallery.open(path, proofs.MODEL).restored)
