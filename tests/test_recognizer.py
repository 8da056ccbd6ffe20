"""The recognizer: it never goes on with people whom nobody has looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeface.errors import GalleryError
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.transfer import restore
from edgeface.pipeline.pictures import read_picture
from edgeface.pipeline.pipeline import FacePipeline
from edgeface.recognizer import Recognizer
from tests.conftest import PORTRAITS


def test_nobody_is_enrolled_into_a_gallery_that_was_just_restored(
    pipeline: FacePipeline, portrait: Any, tmp_path: Path
) -> None:
    path = tmp_path / "gallery.safetensors"
    recognizer = Recognizer(pipeline, path)
    recognizer.enroll("ada", [portrait("collins")])
    recognizer.enroll("barack", [portrait("obama")])
    path.write_bytes(b"damaged")
    with pytest.raises(GalleryError, match="has just been restored"):
        recognizer.enroll("joe", [portrait("biden")])
    assert [name for name, _ in Gallery.open(path, pipeline.model).people] == ["ada"]
    assert recognizer.enroll("joe", [portrait("biden")]).templates == 1


def test_an_enrollment_is_recognized_without_reading_the_file_again(
    pipeline: FacePipeline, portrait: Any, tmp_path: Path
) -> None:
    recognizer = Recognizer(pipeline, tmp_path / "gallery.safetensors")
    recognizer.enroll("barack", [portrait("obama")])
    assert not recognizer.outdated
    frame = portrait("obama2")
    encoded = pipeline.encode(frame, pipeline.main_face(frame))
    assert recognizer.identify(encoded).name == "barack"


def test_an_older_gallery_that_comes_back_recognizes_nobody(
    pipeline: FacePipeline, tmp_path: Path
) -> None:
    path = tmp_path / "gallery.safetensors"
    recognizer = Recognizer(pipeline, path)
    recognizer.enroll("ada", [read_picture(PORTRAITS / "obama.jpg")])
    recognizer.enroll("joe", [read_picture(PORTRAITS / "biden.jpg")])
    picture = read_picture(PORTRAITS / "biden.jpg")
    joe = pipeline.encode(picture, pipeline.main_face(picture))
    older = path.read_bytes()
    recognizer.remove("joe")
    path.write_bytes(older)
    for _ in range(2):
        with pytest.raises(GalleryError, match="went back from change 3 to 2"):
            recognizer.current_gallery()
        with pytest.raises(GalleryError, match="went back"):
            recognizer.enroll("eve", [read_picture(PORTRAITS / "collins.jpg")], force=True)
        with pytest.raises(GalleryError, match="went back"):
            recognizer.identify(joe)
    assert path.read_bytes() == older
    again = Recognizer(pipeline, path, before=recognizer)  # as a reload of the settings does
    with pytest.raises(GalleryError, match="went back"):
        again.read_gallery()
    restore(path, None, path, pipeline.model, None)
    assert len(recognizer.current_gallery()) == 2


def test_a_change_of_an_older_copy_does_not_make_it_newer(
    pipeline: FacePipeline, tmp_path: Path
) -> None:
    """Copied back and changed once, it has the number that was seen, and joe in it."""
    path = tmp_path / "gallery.safetensors"
    recognizer = Recognizer(pipeline, path)
    recognizer.enroll("joe", [read_picture(PORTRAITS / "biden.jpg")])
    older = path.read_bytes()
    recognizer.enroll("ada", [read_picture(PORTRAITS / "obama.jpg")])
    path.write_bytes(older)
    Recognizer(pipeline, path).enroll("eve", [read_picture(PORTRAITS / "collins.jpg")])
    with pytest.raises(GalleryError, match="went back from change 2 to 2"):
        recognizer.current_gallery()


def test_a_gallery_that_is_gone_recognizes_nobody(pipeline: FacePipeline, tmp_path: Path) -> None:
    path = tmp_path / "gallery.safetensors"
    recognizer = Recognizer(pipeline, path)
    recognizer.enroll("ada", [read_picture(PORTRAITS / "obama.jpg")])
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(GalleryError, match="is gone"):
        recognizer.current_gallery()
    path.write_bytes(kept)  # the same again is not older
    assert len(recognizer.current_gallery()) == 1
