"""Viewers: one encoding for all who watch, and none for nobody."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.errors import EdgeFaceError
from edgeface.pipeline.geometry import Box
from edgeface.service.viewers import MOST, ShownFace, Viewers

FRAME = np.full((720, 1280, 3), 90, np.uint8)
FACE = ShownFace(7, Box(100, 100, 200, 240), None, "undetermined", "too dark")


class Watcher:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.gone = False
        self.answers: list[dict[str, Any]] = []

    def reply(self, answer: dict[str, Any], *, last: bool) -> None:
        self.answers.append(answer)


class Stand:
    """Viewers, and a camera of twenty frames a second."""

    def __init__(self) -> None:
        self.now = 50.0
        self.viewers = Viewers(lambda: self.now)

    def watch(self, seconds: float = 60.0) -> Watcher:
        watcher = Watcher()
        self.viewers.add(watcher, seconds)
        return watcher

    def film(self, seconds: float) -> None:
        for _ in range(round(seconds * 20)):
            self.viewers.work()
            if self.viewers.waiting:
                self.viewers.show(FRAME, [FACE])
            self.now += 0.05


def test_nothing_is_encoded_while_nobody_watches() -> None:
    stand = Stand()
    stand.film(10)
    assert stand.viewers.encoded == 0
    watcher = stand.watch()
    stand.film(1)
    watcher.gone = True
    stand.film(0.05)
    before = stand.viewers.encoded
    stand.film(10)
    assert stand.viewers.encoded == before


def test_several_viewers_cost_one_encoding_and_at_most_four_a_second() -> None:
    stand = Stand()
    watchers = [stand.watch() for _ in range(MOST)]
    stand.film(5)
    assert 15 <= stand.viewers.encoded <= 20
    for watcher in watchers:
        assert len(watcher.answers) == stand.viewers.encoded
    with pytest.raises(EdgeFaceError, match="4 watch already"):
        stand.watch()


def test_a_picture_is_small_and_shows_the_box_and_the_reason() -> None:
    stand = Stand()
    watcher = stand.watch()
    stand.film(0.05)
    shown = watcher.answers[0]["progress"]
    picture = cv2.imdecode(np.frombuffer(shown["picture"], np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (360, 640, 3)
    assert np.abs(picture[50:170, 50].astype(int) - 90).max() > 50  # the left edge of the box
    assert np.abs(picture[300:].astype(int) - 90).max() < 10
    expected = {"track": 7, "name": None, "width": 200}
    assert shown["faces"] == [{**expected, "liveness": "undetermined", "why": "too dark"}]
    assert (FRAME == 90).all()  # what is drawn is drawn on a copy


def test_a_small_frame_is_left_as_it_is() -> None:
    stand = Stand()
    watcher = stand.watch()
    small = np.full((120, 160, 3), 90, np.uint8)
    stand.viewers.show(small, [ShownFace(1, Box(20, 20, 40, 40), "ada", "live", None)])
    shown = watcher.answers[0]["progress"]["picture"]
    picture = cv2.imdecode(np.frombuffer(shown, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (120, 160, 3)
    assert (small == 90).all()


def test_everybody_is_answered_at_the_end() -> None:
    stand = Stand()
    short, long = stand.watch(2.0), stand.watch(60.0)
    stand.film(3)
    assert short.answers[-1] == {"pictures": len(short.answers) - 1}
    stand.now += 11  # no frame comes
    stand.viewers.work()
    assert "no picture comes from the camera" in long.answers[-1]["error"]
    other = stand.watch()
    stand.viewers.close("the service is stopping")
    assert other.answers == [{"error": "the service is stopping"}]
