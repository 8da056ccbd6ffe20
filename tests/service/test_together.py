"""The faces of one track are decided together, and no face by what came before it alone."""

from __future__ import annotations

import numpy as np
import pytest

from edgeface.liveness import Profile
from edgeface.service.config import RecognitionSettings
from edgeface.service.frame_result import Observation
from edgeface.service.people import People
from edgeface.service.tracked_face import Asked
from edgeface.service.watch import Watch
from edgeface.sources import Frame
from tests.helpers.service import shown
from tests.service.test_run import enroll


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    folder = tmp_path_factory.mktemp("gallery")
    gallery = enroll(folder / "gallery.safetensors", barack="obama", joe="biden")
    return People(RecognitionSettings(gallery=str(gallery)))


def observations(people: People, name: str, noise: float, frames: int = 12) -> list[Observation]:
    """What a dark scene shows of a portrait, frame by frame."""
    watch = Watch(people, RecognitionSettings(), Profile.CONVENIENCE)
    clean, random = shown(name, "still")(0.0), np.random.default_rng(1)
    found = []
    for number in range(frames):
        noisy = np.clip(clean + random.normal(0, noise, clean.shape), 0, 255).astype(np.uint8)
        result = watch.step(Frame(noisy, number / 5), "test", Asked(eager=True))
        found += result.observations
    return found


def test_what_no_single_frame_shows_several_do(people: People) -> None:
    alone, together = 0, 0
    for seen in observations(people, "obama3", 58):
        alone += people.recognize(seen.encoded).name == "barack"
        together += seen.decision.name == "barack"
        assert seen.decision.name in ("barack", None)
    assert together > alone


def test_a_stranger_stays_one_however_many_frames_there_are(people: People) -> None:
    for noise in (0, 58):
        assert all(seen.decision.name is None for seen in observations(people, "collins", noise))


def test_whoever_takes_another_s_place_is_not_decided_by_what_came_before(people: People) -> None:
    (*_, known) = observations(people, "obama2", 0, 4)
    (*_, stranger) = observations(people, "collins", 0, 4)
    mean = known.encoded.embedding
    assert people.recognize_together(known.encoded, mean).name == "barack"
    assert people.recognize_together(stranger.encoded, mean).name is None
