"""The Python surface: what a program that imports `FaceVerifier` can rely on."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface import (
    ConfigError,
    EncodedFace,
    FaceError,
    FaceVerifier,
    GalleryError,
    PictureError,
    UnknownPerson,
)
from edgeface.decide import Decision
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.store import previous_of
from tests.conftest import CHECKOUT, PORTRAITS, SHARED
from tests.helpers.images import blotches, read_image

OBAMA, OBAMA2, BIDEN = (PORTRAITS / f"{name}.jpg" for name in ("obama", "obama2", "biden"))
GREY = np.full((200, 200, 3), 128, np.uint8)
Portrait = Callable[[str], np.ndarray]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> FaceVerifier:
    """A verifier with nobody enrolled, for tests that change nothing."""
    return FaceVerifier(tmp_path_factory.mktemp("shared") / "gallery.safetensors")


def test_the_gallery_of_a_verifier_cannot_be_changed_unseen(verifier: FaceVerifier) -> None:
    """It once answered 1, wrote nothing, and every other process still accepted her."""
    verifier.enroll("ada", [OBAMA])
    with pytest.raises(AttributeError):
        verifier.gallery.remove("ada")  # type: ignore[attr-defined]
    assert verifier.verify("ada", OBAMA2).match


def test_a_type_checker_finds_a_change_of_the_gallery(tmp_path: Path) -> None:
    pytest.importorskip("mypy")  # the second back end's environment has no linters
    program = tmp_path / "program.py"
    program.write_text(
        "from edgeface import FaceVerifier\n"
        "with FaceVerifier(rgb=True) as verifier:\n"
        "    decision = verifier.compare('a.jpg', open('b.jpg', 'rb'), far=0.01)\n"
        "    answer: bool = decision.match\n"
        "    width: float = verifier.faces(b'')[0].box.width\n"
        "    verifier.gallery.remove('ada')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(program)],
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,  # whose mypy cache makes this fast
    )
    errors = re.findall(r"program\.py:(\d+): error: (.*)", done.stdout)
    assert [line for line, _ in errors] == ["6"], done.stdout + done.stderr
    assert '"Gallery" has no attribute "remove"' in errors[0][1]


def test_removing_a_person_lasts_in_the_file_for_every_process(verifier: FaceVerifier) -> None:
    verifier.enroll("lovelace", [OBAMA])
    verifier.enroll("joe", [BIDEN])
    path, other = verifier.gallery.path, FaceVerifier(verifier.gallery.path)
    assert other.people == {"lovelace": 1, "joe": 1}
    assert verifier.remove(" lovelace ") == 1
    assert verifier.people == other.people == {"joe": 1}
    with pytest.raises(UnknownPerson):
        other.verify("lovelace", OBAMA2)
    assert b"lovelace" not in path.read_bytes()
    assert b"lovelace" not in previous_of(path).read_bytes()
    with pytest.raises(UnknownPerson, match=r"lovelace is not enrolled .*joe"):
        verifier.remove("lovelace")


def test_after_an_enrollment_the_gallery_is_still_one_to_read(verifier: FaceVerifier) -> None:
    verifier.enroll("ada", [OBAMA])
    assert type(verifier.gallery) is Gallery
    assert not verifier.gallery.outdated


def test_two_pictures_are_compared_without_a_gallery(shared: FaceVerifier) -> None:
    same, other = shared.compare(OBAMA, OBAMA2), shared.compare(OBAMA, BIDEN)
    assert (same.match, other.match) == (True, False)
    assert same.name is None
    assert same.threshold == other.threshold == shared.threshold()
    assert same.score == pytest.approx(shared.compare(OBAMA2, OBAMA).score)
    assert not shared.gallery.path.exists()


def test_a_stricter_comparison_has_a_higher_threshold(shared: FaceVerifier) -> None:
    lenient, strict = (shared.compare(OBAMA, OBAMA2, far=far) for far in (1e-1, 1e-5))
    assert lenient.threshold < strict.threshold
    assert lenient.score == strict.score
    with pytest.raises(ConfigError, match="between 0 and 1"):
        shared.compare(OBAMA, OBAMA2, far=2)


def two_people() -> np.ndarray:
    pictures = [read_image(path) for path in (OBAMA, BIDEN)]
    height = min(len(picture) for picture in pictures)
    return np.hstack([picture[:height] for picture in pictures])


def test_all_faces_come_with_box_landmarks_quality_and_embedding(shared: FaceVerifier) -> None:
    frame = two_people()
    faces = shared.faces(frame)
    assert len(faces) == 2
    for face in faces:
        assert isinstance(face, EncodedFace)
        box, landmarks = face.box, face.landmarks
        assert box.x < landmarks.right_eye.x < landmarks.left_eye.x < box.x + box.width
        assert landmarks.right_eye.y < landmarks.nose.y < landmarks.mouth.y
        assert np.array(landmarks).shape == (4, 2)
        assert 0 < face.quality.score <= 1
        assert face.embedding.dtype == np.float32
        assert np.linalg.norm(face.embedding) == pytest.approx(1, abs=1e-4)
    assert [face.face for face in faces] == shared.detect(frame)
    assert faces[0].box.width >= faces[1].box.width
    known = shared.encode(OBAMA2)
    matches = [face.embedding @ known >= shared.threshold() for face in faces]
    assert sorted(matches) == [False, True]


def test_a_picture_without_faces_has_none(shared: FaceVerifier) -> None:
    assert shared.detect(GREY) == []
    assert shared.faces(GREY) == []
    for method in (shared.face, shared.encode):
        with pytest.raises(FaceError, match="no face found"):
            method(GREY)
    with pytest.raises(FaceError):
        shared.compare(OBAMA, GREY)


def as_array(path: Path) -> np.ndarray:
    return read_image(path)


def as_open_file(path: Path) -> Any:
    return path.open("rb")


@pytest.mark.parametrize(
    "given",
    [
        str,
        Path.read_bytes,
        lambda path: memoryview(path.read_bytes()),
        lambda path: io.BytesIO(path.read_bytes()),
        as_open_file,
        as_array,
    ],
)
def test_every_form_of_an_image_gives_the_same_face(
    given: Callable[[Path], Any], shared: FaceVerifier
) -> None:
    np.testing.assert_array_equal(shared.encode(given(OBAMA)), shared.encode(OBAMA))


def test_arrays_may_be_rgb(shared: FaceVerifier) -> None:
    rgb = np.ascontiguousarray(as_array(OBAMA)[..., ::-1])
    with FaceVerifier(shared.gallery.path, rgb=True) as verifier:
        np.testing.assert_array_equal(verifier.encode(rgb), shared.encode(OBAMA))
        np.testing.assert_array_equal(verifier.encode(OBAMA), shared.encode(OBAMA))


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (b"", "the picture data is empty"),
        (b"no picture", "data is not a picture"),
        (io.BytesIO(OBAMA.read_bytes()[:5000]), "the picture data is cut short"),
        (io.StringIO("text"), "the picture data: it is a text file"),
        (7, "must be a path, bytes, a binary file or a uint8 array, not int"),
        (GREY[:, :, 0], "must be uint8 with shape"),
        ("nowhere.jpg", "there is no picture nowhere.jpg"),
    ],
)
def test_what_is_no_image_is_said_in_one_sentence(
    image: Any, sentence: str, shared: FaceVerifier
) -> None:
    with pytest.raises(PictureError, match=sentence):
        shared.detect(image)


def test_a_closed_file_is_said(shared: FaceVerifier) -> None:
    with OBAMA.open("rb") as file:
        pass
    with pytest.raises(PictureError, match=r"cannot read the picture .*obama\.jpg: .*closed"):
        shared.detect(file)


def test_many_images_give_a_row_each(shared: FaceVerifier) -> None:
    rows = shared.encode_many(path for path in (OBAMA, BIDEN))
    assert rows.shape == (2, 128)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[0], shared.encode(OBAMA))
    np.testing.assert_array_equal(shared.encode_many(as_array(BIDEN)[np.newaxis])[0], rows[1])
    assert shared.encode_many([]).shape == (0, 128)


def test_the_image_that_stops_a_batch_is_named(shared: FaceVerifier) -> None:
    with pytest.raises(FaceError, match=r"^image 2: no face found"):
        shared.encode_many([OBAMA, GREY])
    with pytest.raises(PictureError, match=r"^image 1: data is not a picture"):
        shared.encode_many([b"no picture"])


@pytest.mark.parametrize("single", ["a.jpg", b"", OBAMA, GREY, io.BytesIO()])
def test_a_single_image_in_place_of_a_list_is_refused(single: Any, shared: FaceVerifier) -> None:
    for method in (shared.encode_many, lambda image: shared.enroll("ada", image)):
        with pytest.raises(PictureError, match=r"takes a list of images; .*\[brackets\]"):
            method(single)


def test_images_of_an_enrollment_may_come_from_a_generator(verifier: FaceVerifier) -> None:
    done = verifier.enroll("ada", (path.read_bytes() for path in (OBAMA, OBAMA2)))
    assert (done.added, verifier.people) == (2, {"ada": 2})


def test_a_closed_verifier_says_so(tmp_path: Path) -> None:
    with FaceVerifier(tmp_path / "g") as verifier:
        assert verifier.people == {}
    for call in (lambda: verifier.detect(GREY), lambda: verifier.people, verifier.threshold):
        with pytest.raises(ConfigError, match="closed"):
            call()
    verifier.close()  # a second time does nothing


def test_what_needs_no_gallery_needs_no_key(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEFACE_GALLERY_KEY", "no key at all")
    with FaceVerifier(tmp_path / "gallery.safetensors") as verifier:
        assert verifier.detect(photos / "obama-400.png")
        assert verifier.encode(photos / "obama-400.png").shape == (128,)
        with pytest.raises(GalleryError, match="holds no key"):
            _ = verifier.gallery


def test_a_decision_is_true_where_it_is_a_match(shared: FaceVerifier) -> None:
    first, second, other = (PORTRAITS / f"{name}.jpg" for name in ("obama", "obama2", "biden"))
    assert shared.compare(first, second)
    assert not shared.compare(first, other)
    assert not Decision("ada", 0.9, 0.5, False)


def test_threads_that_share_a_verifier_take_turns(
    verifier: FaceVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = {name: PORTRAITS / f"{name}.jpg" for name in ("obama", "biden")}
    for name, picture in pictures.items():
        verifier.enroll(name, [picture])
    within, most = [], []
    encode = verifier.pipeline.encode

    def watched(*arguments: Any, **named: Any) -> Any:
        within.append(1)
        most.append(len(within))
        time.sleep(0.1)  # long enough for the other thread to come in, if it may
        found = encode(*arguments, **named)
        within.pop()
        return found

    monkeypatch.setattr(verifier.pipeline, "encode", watched)
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(verifier.identify, [*pictures.values(), *pictures.values()])
    assert [face.decision.name for (face,) in found] == [*pictures, *pictures]
    assert max(most) == 1


def test_swapped_arguments_are_said(verifier: FaceVerifier, portrait: Any, tmp_path: Path) -> None:
    picture = PORTRAITS / "obama.jpg"
    verifier.enroll("obama", [picture])
    swapped: list[Any] = [portrait("obama"), picture, picture.read_bytes(), [picture]]
    for name in swapped:
        for call in (verifier.verify, verifier.enroll):
            with pytest.raises(ConfigError, match="a person's name first"):
                call(name, "obama")
    for name, image in ((str(picture), "obama"), (str(picture), "nobody"), ("x", "obama")):
        with pytest.raises(UnknownPerson, match="give the name first, then the image"):
            verifier.verify(name, image)


@pytest.mark.parametrize("spots", [33, 222])
def test_verify_and_identify_see_the_same_face_beside_a_doubtful_one(
    verifier: FaceVerifier, portrait: Portrait, spots: int
) -> None:
    """With 222 a doubtful face is found in large squares already, with 33 along with the small
    one; both are twice as wide and nearer to the centre."""
    verifier.enroll("collins", [portrait("collins")])
    frame = np.full((480, 640, 3), 90, np.uint8)
    frame[120:360, 40:280] = blotches(spots)
    frame[20:248, 390:618] = cv2.resize(
        portrait("collins"), (228, 228), interpolation=cv2.INTER_AREA
    )
    assert len(verifier.detect(frame)) == 2
    (found,) = [one for one in verifier.identify(frame) if one.decision.match]
    decision = verifier.verify("collins", frame)
    assert decision.match
    assert decision.score == pytest.approx(found.decision.score, abs=0.01)


@pytest.mark.parametrize("number", [1, 2])
def test_scenes_in_which_a_doubtful_face_hid_the_person(
    verifier: FaceVerifier, number: int
) -> None:
    folder = SHARED / "cases" / "recognition" / "first-found"
    if not folder.exists():
        pytest.skip("the cases that failed are not on this machine")
    verifier.enroll("somebody", [folder / f"person{number}.png"])
    assert verifier.verify("somebody", folder / f"scene{number}.png").match


def test_nothing_that_is_no_face_becomes_a_template_or_a_probe(verifier: FaceVerifier) -> None:
    """Of these 60 pictures of spots the detector takes 25 or more for a face."""
    found = enrolled = 0
    for seed in range(60):
        picture = blotches(seed)
        for one in verifier.identify(picture):
            found += 1
            assert not one.decision.match
        try:
            verifier.enroll(f"spots {seed}", [picture])
        except FaceError:
            continue
        enrolled += 1
    assert found >= 20
    assert enrolled == 0


def test_a_probe_that_is_no_upright_face_is_refused_with_the_reason(
    verifier: FaceVerifier,
) -> None:
    verifier.enroll("spots", [blotches(2)], force=True)
    decision = verifier.verify("spots", blotches(2))
    assert decision.score > decision.threshold
    assert not decision.match
    assert decision.note is not None
    assert "upright" in decision.note
    (seen,) = verifier.identify(blotches(2))
    assert (seen.decision.name, seen.decision.note) == (None, decision.note)


@pytest.mark.parametrize("kind", ["non-faces", "upside-down"])
def test_pictures_that_enrolled_and_matched_each_other(verifier: FaceVerifier, kind: str) -> None:
    folder = SHARED / "cases" / "recognition" / kind
    if not folder.exists():
        pytest.skip("the cases that failed are not on this machine")
    for number, path in enumerate(sorted(folder.iterdir())):
        with pytest.raises(FaceError, match="was not enrolled"):
            verifier.enroll(f"{number}", [path])
