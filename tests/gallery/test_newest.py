"""The newest state of a gallery is known after a restart: none that is older is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeface.cli import main
from edgeface.errors import GalleryError
from edgeface.gallery.change import GalleryChange, remove_person
from edgeface.gallery.names import person_name
from edgeface.gallery.newest import STORE
from edgeface.pipeline.model_file import load_model
from edgeface.service.config import RecognitionSettings
from edgeface.service.people import People
from tests.helpers.command import call

MODEL = load_model()


def _enroll(path: Path, name: str, direction: int) -> None:
    embedding = np.zeros(MODEL.description.embedding.size, np.float32)
    embedding[direction] = 1
    with GalleryChange.open(path, MODEL) as change:
        change.add(name, [embedding])


def _started(path: Path) -> People:
    """What a service that starts now knows of people."""
    return People(RecognitionSettings(gallery=str(path)), path.with_name(STORE))


@pytest.fixture
def older(tmp_path: Path) -> tuple[Path, bytes]:
    """A gallery that a service has used, and its bytes before joe was removed."""
    path = tmp_path / "gallery.safetensors"
    _enroll(path, "ada", 0)
    _enroll(path, "joe", 1)
    before = path.read_bytes()
    assert _started(path).names == ("ada", "joe")
    remove_person(path, MODEL, None, person_name("joe"))
    assert _started(path).names == ("ada",)
    return path, before


def test_an_older_copy_put_back_while_no_service_runs_recognizes_nobody(
    older: tuple[Path, bytes],
) -> None:
    path, before = older
    path.write_bytes(before)
    people = _started(path)
    assert len(people) == 0
    assert people.names is None
    assert "went back from change 3 to 2" in str(people.take_problem())
    with pytest.raises(GalleryError, match="went back"):
        people.remove("joe")
    done = call(main, "doctor", "--json", environment={"EDGEFACE_GALLERY": str(path)})
    assert "went back from change 3 to 2" in done.stdout
    # Accepted by an administrator, it counts for the service that runs and for the next one.
    assert call(main, "gallery", "restore", path, "--gallery", path).status == 0
    assert people.refresh()
    assert people.names == ("ada", "joe")
    assert people.take_removed() == []
    assert _started(path).names == ("ada", "joe")


def test_another_state_of_the_same_number_recognizes_nobody(older: tuple[Path, bytes]) -> None:
    path, before = older
    path.write_bytes(before)
    _enroll(path, "eve", 2)  # change 3, as the removal of joe was
    assert "went back from change 3 to 3" in str(_started(path).problem)


def test_a_gallery_that_is_gone_begins_with_nobody_and_above_all_that_was(
    older: tuple[Path, bytes],
) -> None:
    path, before = older
    for file in path.parent.glob("gallery.safetensors*"):
        file.unlink()
    people = _started(path)
    assert people.names == ()
    path.write_bytes(before)
    assert people.refresh()
    assert "went back" in str(people.problem)
    path.unlink()
    _enroll(path, "eve", 2)  # a new gallery beside the service is none that it has seen, either
    assert "went back from change 3 to 1" in str(_started(path).problem)
    assert call(main, "gallery", "restore", path, "--gallery", path).status == 0
    assert _started(path).names == ("eve",)


def test_a_store_that_cannot_be_read_recognizes_nobody_until_the_gallery_is_accepted(
    older: tuple[Path, bytes],
) -> None:
    path, _ = older
    path.with_name(STORE).write_bytes(b"{")
    people = _started(path)
    assert "is not known" in str(people.problem)
    assert call(main, "gallery", "restore", path, "--gallery", path).status == 0
    assert people.refresh()
    assert people.names == ("ada",)
    assert _started(path).names == ("ada",)


def test_a_store_is_only_written_when_the_gallery_has_changed(older: tuple[Path, bytes]) -> None:
    path, _ = older
    store = path.with_name(STORE)
    assert store.stat().st_mode & 0o777 == 0o600
    before = store.stat().st_ino
    _started(path)
    assert store.stat().st_ino == before
