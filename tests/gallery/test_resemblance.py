"""Resemblance: who looks alike in a gallery raises its thresholds, and the owner learns why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeface.gallery.change import GalleryChange
from edgeface.pipeline.model_file import load_model
from edgeface.verifier import FaceVerifier
from tests.conftest import PORTRAITS, CommandLine


def enroll_made_up(path: Path, people: int, share: float) -> None:
    """People who have `share` of one direction in common."""
    model = load_model()
    rows = np.random.default_rng(3).standard_normal((people + 1, 128))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows[1:] + share * rows[0]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    with GalleryChange.open(path, model) as change:
        change.add_people({f"p{i}": row[None].astype(np.float32) for i, row in enumerate(rows)})


@pytest.mark.parametrize("people", [4, 12])
def test_verify_and_identify_ask_more_where_people_look_alike(
    verifier: FaceVerifier, people: int
) -> None:
    verifier.enroll("ada", [PORTRAITS / "obama.jpg"])
    enroll_made_up(verifier.gallery.path, people - 1, 0)
    usual = verifier.verify("ada", PORTRAITS / "obama2.jpg").threshold
    among = verifier.identify(PORTRAITS / "obama2.jpg")[0].decision.threshold
    path = verifier.gallery.path.with_name("alike")
    other = FaceVerifier(path)
    other.enroll("ada", [PORTRAITS / "obama.jpg"])
    enroll_made_up(path, people - 1, 0.8)
    raised = other.verify("ada", PORTRAITS / "obama2.jpg").threshold - usual
    assert other.identify(PORTRAITS / "obama2.jpg")[0].decision.threshold - among == (
        pytest.approx(raised)
    )
    assert raised > 0.1 if people == 12 else raised == 0  # four tell too little


def test_list_says_what_it_costs_and_why(edgeface: CommandLine) -> None:
    enroll_made_up(edgeface.gallery, 12, 0.8)
    answer = edgeface("list", "--json").json
    assert answer["threshold_raised"] > 0.1
    assert f"{answer['threshold_raised']:.2f} higher" in answer["threshold_note"]
    shown = edgeface("list").stdout
    assert answer["threshold_note"] in shown
    assert "more good pictures are refused" in shown
    checks = edgeface("doctor", "--json").json["checks"]
    (gallery,) = [check for check in checks if check["name"] == "gallery"]
    assert answer["threshold_note"] in gallery["detail"]


def test_list_says_nothing_where_nothing_is_raised(edgeface: CommandLine) -> None:
    enroll_made_up(edgeface.gallery, 12, 0)
    answer = edgeface("list", "--json").json
    assert answer["threshold_raised"] < 0.02
    assert answer["threshold_note"] is None
