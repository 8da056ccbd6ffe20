"""A camera that delivers pictures but sees nothing is reported, by the clock of its frames."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.sources import Frame
from edgeface.sources.blind import Blindness
from tests.conftest import PORTRAITS
from tests.helpers.images import read_image

NOISE = np.random.default_rng(7)
SCENE = np.asarray(cv2.resize(read_image(PORTRAITS / "obama.jpg"), (320, 240)), np.uint8)


def noisy(picture: np.ndarray, amount: int) -> np.ndarray:
    noise = NOISE.integers(-amount, amount + 1, picture.shape, dtype=np.int16)
    return np.clip(picture.astype(np.int16) + noise, 0, 255).astype(np.uint8)


def said(picture: Callable[[], np.ndarray], seconds: float, blindness: Blindness) -> list[str]:
    """What is said of so many seconds of a camera at 10 frames a second."""
    start = getattr(blindness, "test_clock", 0.0)
    found = []
    for number in range(round(seconds * 10)):
        noticed = blindness.see(Frame(picture(), start + number / 10))
        if noticed is not None:
            found.append(("blind: " if noticed[0] else "back: ") + noticed[1])
    blindness.test_clock = start + seconds  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (lambda: np.zeros((240, 320, 3), np.uint8), "black for 10 s"),
        (lambda: noisy(np.full((240, 320, 3), 5, np.uint8), 3), "black for 10 s"),
        (lambda: noisy(np.full((240, 320, 3), 180, np.uint8), 3), "of one colour for 10 s"),
        (lambda: SCENE, "not changed for 10 s"),
    ],
)
def test_nothing_to_see_is_said_once_and_so_is_that_it_sees_again(
    picture: Callable[[], np.ndarray], words: str
) -> None:
    blindness = Blindness(10.0)
    assert said(lambda: noisy(SCENE, 2), 12, blindness) == []
    assert said(picture, 9.5, blindness) == []
    (told,) = said(picture, 15, blindness)
    assert told.startswith("blind: ")
    assert words in told
    (back,) = said(lambda: noisy(SCENE, 2), 12, blindness)
    assert back.startswith("back: ")


def test_a_dim_scene_and_a_still_one_with_noise_are_seen() -> None:
    blindness = Blindness(10.0)
    assert said(lambda: noisy(SCENE // 12, 1), 30, blindness) == []


def test_a_picture_that_stands_alone_is_no_camera_that_hangs() -> None:
    blindness = Blindness(10.0)
    assert [blindness.see(Frame(SCENE, float(n), still=True)) for n in range(30)] == [None] * 30


def test_a_frame_costs_no_memory() -> None:
    blindness = Blindness(10.0)
    frames = [Frame(np.ascontiguousarray(SCENE), n / 10) for n in range(100)]
    blindness.see(frames[0])
    tracemalloc.start()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    for frame in frames[1:50]:
        blindness.see(frame)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert peak < 10_000  # bytes; a channel of the frame has 307,200


def test_the_service_says_so(edgeface: Any, tmp_path: Path) -> None:
    video = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 5, (320, 240))
    for number in range(120):
        picture = cv2.resize(noisy(SCENE, 9), (320, 240)) if number // 40 != 1 else 0 * SCENE
        writer.write(cv2.resize(picture, (320, 240)))
    writer.release()
    file = tmp_path / "s.toml"
    file.write_text(f'[source]\nspec = "{video}"\nblind_after = "3 s"\n')
    done = edgeface("run", "--config", file, "--gallery", tmp_path / "none")
    assert done.status == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    told = [(e["type"], e["message"]) for e in events if e["type"].startswith("source")]
    assert [kind for kind, _ in told] == ["source_blind", "source_back"]
    assert told[0][1] == "v.avi has been black for 3 s; is its lens covered?"
