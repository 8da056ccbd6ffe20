"""Tracks keep their number while a face moves, and never swap it with another's."""

from __future__ import annotations

import math

from edgeface.pipeline.detect import Face
from edgeface.pipeline.geometry import Box, Point
from edgeface.service.tracker import Tracker


def face(x: float, y: float, width: float = 80) -> Face:
    spot = Point(x, y)
    return Face(Box(x - width / 2, y - width / 2, width, width), spot, spot, spot, spot, 0.9)


def test_a_walking_face_keeps_its_number() -> None:
    tracker = Tracker()
    for step in range(50):
        seen, ended = tracker.update([face(100 + 20 * step, 200)], step / 15)
        assert [track.number for track in seen] == [1]
        assert not ended


def test_a_short_absence_is_bridged_where_the_face_was_going() -> None:
    tracker = Tracker()
    for step in range(20):
        faces = [face(100 + 10 * step, 200)] if step not in (10, 11, 12, 13) else []
        tracker.update(faces, step / 15)
    assert [track.number for track in tracker.tracks] == [1]


def test_two_who_pass_each_other_keep_their_numbers() -> None:
    tracker = Tracker()
    for step in range(60):
        left, right = face(100 + 12 * step, 200), face(800 - 12 * step, 270)
        seen, _ = tracker.update([left, right], step / 15)
        where = {track.number: track.face.box.centre.x for track in seen}
        assert math.isclose(where[1], left.box.centre.x)


def test_a_person_who_has_left_is_a_new_track_when_back() -> None:
    tracker = Tracker()
    tracker.update([face(100, 100)], 0.0)
    _, ended = tracker.update([], 1.5)
    assert [track.number for track in ended] == [1]
    seen, _ = tracker.update([face(100, 100)], 2.0)
    assert [track.number for track in seen] == [2]


def test_a_face_of_another_size_at_the_same_place_is_another_face() -> None:
    tracker = Tracker()
    tracker.update([face(100, 100, 80)], 0.0)
    seen, _ = tracker.update([face(100, 100, 160)], 0.1)
    assert [track.number for track in seen] == [2]
