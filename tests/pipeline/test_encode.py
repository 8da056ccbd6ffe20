"""Encode: one direction in space per person, the same on every runtime."""

from __future__ import annotations

import json
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edgeface.pipeline.pipeline import FacePipeline
from tests.conftest import CHECKOUT

Portrait = Callable[[str], np.ndarray]
NAMES = ("obama", "obama2", "obama3", "biden", "collins")
REFERENCE = CHECKOUT / "tests" / "reference-embeddings.json"


def embedding(pipeline: FacePipeline, frame: np.ndarray) -> np.ndarray:
    return pipeline.encode(frame, pipeline.main_face(frame)).embedding


@pytest.fixture(scope="module")
def embeddings(pipeline: FacePipeline, portrait: Portrait) -> dict[str, np.ndarray]:
    return {name: embedding(pipeline, portrait(name)) for name in NAMES}


def test_an_embedding_is_128_numbers_of_unit_length(embeddings: dict[str, np.ndarray]) -> None:
    for one in embeddings.values():
        assert one.shape == (128,)
        assert one.dtype == np.float32
        assert np.linalg.norm(one) == pytest.approx(1, abs=1e-6)


def test_one_person_is_close_and_two_are_far(embeddings: dict[str, np.ndarray]) -> None:
    for first in NAMES:
        for second in NAMES:
            score = float(embeddings[first] @ embeddings[second])
            same = first[:5] == second[:5]
            assert (score > 0.7) if same else (score < 0.3), (first, second, score)


def test_pixels_do_not_distinguish_people_but_embeddings_do(
    pipeline: FacePipeline, portrait: Portrait, embeddings: dict[str, np.ndarray]
) -> None:
    """The tutorial's argument: by pixels a stranger in the same light is nearer than oneself."""
    crops = {}
    for name in NAMES:
        frame = portrait(name)
        crops[name] = pipeline.crop(frame, pipeline.main_face(frame)).astype(float)
    own = np.abs(crops["obama"] - crops["obama3"]).mean()
    stranger = np.abs(crops["biden"] - crops["obama3"]).mean()
    assert embeddings["obama"] @ embeddings["obama3"] > embeddings["biden"] @ embeddings["obama3"]
    assert stranger < 1.5 * own


def test_light_and_contrast_change_little(pipeline: FacePipeline, portrait: Portrait) -> None:
    frame = portrait("obama")
    face = pipeline.main_face(frame)
    dim = np.asarray(cv2.convertScaleAbs(frame, alpha=0.6, beta=10), np.uint8)
    assert pipeline.encode(frame, face).embedding @ pipeline.encode(dim, face).embedding > 0.98


def test_a_mirrored_face_is_the_same_person(pipeline: FacePipeline, portrait: Portrait) -> None:
    frame = portrait("collins")
    assert embedding(pipeline, frame) @ embedding(pipeline, frame[:, ::-1].copy()) > 0.85


def test_this_runtime_agrees_with_the_reference(embeddings: dict[str, np.ndarray]) -> None:
    """The reference was written by LiteRT 2 on x86; every other runtime must agree with it."""
    reference = json.loads(REFERENCE.read_text())
    for name, numbers in reference.items():
        assert embeddings[name] @ np.array(numbers) >= 0.999, name
