"""The recognizer: it never goes on with people whom nobody has looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeface.errors import GalleryError
from edgeface.gallery.gallery import Gallery
from edgeface.pipeline.pipeline import FacePipeline
from edgeface.recognizer import Recognizer


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
