"""Faces unfit to enroll are refused with a reason that a person can act on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.pipeline.geometry import Box, Point
from edgeface.pipeline.pipeline import FacePipeline
from edgeface.pipeline.quality import assess


@pytest.fixture(scope="module")
def case(pipeline: FacePipeline, portrait: Any) -> tuple[Any, np.ndarray, Any]:
    frame = portrait("obama")
    face = pipeline.main_face(frame)
    return face, pipeline.crop(frame, face).copy(), pipeline.model.description.alignment


@pytest.mark.parametrize("name", ["obama", "obama2", "obama3", "biden", "collins"])
def test_ordinary_portraits_are_fit(name: str, pipeline: FacePipeline, portrait: Any) -> None:
    frame = portrait(name)
    quality = pipeline.encode(frame, pipeline.main_face(frame)).quality
    assert quality.reasons == ()
    assert quality.score > 0.5


def degraded(crop: np.ndarray, how: str) -> np.ndarray:
    if how == "blur":
        return cv2.GaussianBlur(crop, (0, 0), 5)
    if how == "dark":
        return (crop * 0.1).astype(np.uint8)
    if how == "bright":
        return 255 - ((255 - crop) * 0.1).astype(np.uint8)
    glasses = crop.copy()
    for x in (0.334, 0.664):
        cv2.ellipse(glasses, (int(160 * x), 75), (26, 17), 0, 0, 360, (15, 15, 15), -1)
    return glasses


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("blur", "too blurry: hold still"),
        ("dark", "too dark"),
        ("bright", "too bright"),
        ("glasses", "eyes hidden"),
    ],
)
def test_a_degraded_picture_gives_its_reason(case: Any, how: str, reason: str) -> None:
    face, crop, alignment = case
    good, bad = assess(face, crop, alignment), assess(face, degraded(crop, how), alignment)
    assert any(reason in found for found in bad.reasons)
    assert bad.score < 0.5 < good.score


def test_a_small_a_turned_and_a_tilted_face_are_reported(case: Any) -> None:
    face, crop, alignment = case
    small = replace(face, box=Box(0, 0, 41, 41))
    assert assess(small, crop, alignment).reasons == ("face 41 px wide, need 64: come closer",)
    eyes = {"right_eye": Point(100, 100), "left_eye": Point(200, 100)}
    for shift, words in ((0, ()), (60, ("turned 38 degrees",)), (-60, ("turned 38 degrees",))):
        turned = replace(face, **eyes, nose=Point(150 + shift, 150))
        reasons = assess(turned, crop, alignment).reasons
        assert [r.startswith(w) for r, w in zip(reasons, words, strict=True)] == [True] * len(words)
    tilted = replace(
        face, right_eye=Point(100, 100), left_eye=Point(150, 200), nose=Point(125, 150)
    )
    assert assess(tilted, crop, alignment).reasons == ("head tilted 63 degrees: hold it upright",)


def test_a_crop_of_one_colour_is_judged_without_a_warning(case: Any) -> None:
    face, crop, alignment = case
    assert assess(face, np.zeros_like(crop), alignment).score == 0
