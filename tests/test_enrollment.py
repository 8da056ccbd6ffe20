"""Pictures of somebody else, and people who are enrolled already, are noticed at enrollment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.proofs import gallery as proofs
from edgeface.enrollment import Candidate, Rejection, enroll_candidates
from edgeface.errors import FaceError
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.names import person_name
from edgeface.pipeline.model_file import FarPoint, ScoreTable

TABLE = ScoreTable(
    tuple(FarPoint(10.0**-n, score) for n, score in ((1, 0.2), (2, 0.35), (3, 0.5), (4, 0.6))),
    10**6,
    1000,
    "made up",
)

ADA, BOB, CLEO = (person_name(name) for name in ("ada", "bob", "cleo"))


@pytest.fixture
def model() -> Any:
    described = SimpleNamespace(embedding=SimpleNamespace(size=proofs.NUMBERS), scores=TABLE)
    return SimpleNamespace(identity="c" * 64, path=Path("m.tflite"), description=described)


@pytest.fixture
def change(model: Any, tmp_path: Path) -> Iterator[GalleryChange]:
    with GalleryChange.open(tmp_path / "gallery", model) as change:
        yield change


def at(cosine: float, towards: int, other: int) -> np.ndarray:
    """A unit vector with this cosine to axis `towards`, the rest along axis `other`."""
    vector = np.zeros(proofs.NUMBERS, np.float32)
    vector[towards], vector[other] = cosine, np.sqrt(1 - cosine**2)
    return vector


def candidates(*embeddings: np.ndarray) -> list[Candidate]:
    return [Candidate(position, embedding) for position, embedding in enumerate(embeddings)]


def test_a_picture_of_somebody_else_is_refused(change: GalleryChange, model: Any) -> None:
    given = candidates(at(0.9, 0, 1), at(0.9, 0, 2), at(0.1, 0, 3))
    done = enroll_candidates(change, model, ADA, given, [Rejection(3, "dark")], force=False)
    assert (done.added, done.templates) == (2, 2)
    assert done.rejected == (
        Rejection(2, "picture 3 does not look like the other two"),
        Rejection(3, "dark"),
    )


def test_pictures_of_different_people_are_refused(change: GalleryChange, model: Any) -> None:
    with pytest.raises(FaceError, match="pictures 1 and 2 do not look like one person"):
        enroll_candidates(change, model, ADA, candidates(at(1, 0, 1), at(1, 2, 3)), [], force=False)
    assert len(change.gallery) == 0


def test_a_new_picture_must_look_like_the_enrolled_person(
    change: GalleryChange, model: Any
) -> None:
    change.add("ada", [at(1, 0, 1)])
    with pytest.raises(FaceError, match="picture 1 does not look like ada, who is enrolled"):
        enroll_candidates(change, model, ADA, candidates(at(0.2, 0, 5)), [], force=False)
    enroll_candidates(change, model, ADA, candidates(at(0.5, 0, 5)), [], force=False)
    assert dict(change.gallery.people) == {"ada": 2}


def test_a_person_enrolled_under_another_name_needs_force(
    change: GalleryChange, model: Any
) -> None:
    change.add("ada", [at(1, 0, 1)])
    twin = candidates(at(0.71, 0, 5))
    with pytest.raises(FaceError, match=r"bob looks like ada, already enrolled, 0\.71.*--force"):
        enroll_candidates(change, model, BOB, twin, [], force=False)
    assert "bob" not in change.gallery
    done = enroll_candidates(change, model, BOB, twin, [], force=True)
    assert len(done.warnings) == 1
    assert "bob" in change.gallery


def test_a_lookalike_is_enrolled_with_a_warning(change: GalleryChange, model: Any) -> None:
    change.add("ada", [at(1, 0, 1)])
    near = enroll_candidates(change, model, BOB, candidates(at(0.55, 0, 5)), [], force=False)
    assert "bob looks like ada" in near.warnings[0]
    far = enroll_candidates(change, model, CLEO, candidates(at(0.3, 0, 7)), [], force=False)
    assert far.warnings == ()


def test_force_takes_all_pictures(change: GalleryChange, model: Any) -> None:
    given = candidates(at(1, 0, 1), at(1, 2, 3))
    assert enroll_candidates(change, model, ADA, given, [], force=True).added == 2


def test_with_no_picture_left_each_reason_is_given_once(change: GalleryChange, model: Any) -> None:
    refused = [Rejection(0, "too dark: add light"), Rejection(1, "too dark: add light")]
    with pytest.raises(FaceError, match=r"^ada was not enrolled: too dark: add light$"):
        enroll_candidates(change, model, ADA, [], refused, force=False)
