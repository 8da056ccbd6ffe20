"""Live attempts: one person at a time, no picture twice, and only looks that differ count."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edgeface.decide import Decision
from edgeface.errors import UnknownPerson
from edgeface.liveness import CueScores, Likeness, Liveness, LivenessVerdict, Profile
from edgeface.pipeline.geometry import Point
from edgeface.service.attempts import LiveEnrollment, LiveIdentification, LiveVerification
from edgeface.service.config import RecognitionSettings
from edgeface.service.frame_result import FrameResult

OFF = Profile.CONVENIENCE
TURNS = (0.0, 0.3, -0.3, 0.0, 0.0)  # what the poses ask for, in order


class People:
    """A gallery that takes everything and finds that every face is who it was said to be."""

    def __init__(self, match: bool = True) -> None:
        self.likeness = Likeness(0.3, 0.5)
        self.match = match
        self.pictures: list[Any] = []
        self.compared = 0
        self.removed: list[str] = []
        self.gone: set[str] = set()

    def require(self, name: str) -> None:
        if name in self.gone:
            raise UnknownPerson(name)

    def remove(self, name: str) -> tuple[int, list[Any]]:
        if name == "nobody":
            raise UnknownPerson(name)
        self.removed.append(name)
        return 1, []

    def compare(self, name: str, subject: Any) -> Decision:
        self.require(name)
        self.compared += 1
        return Decision(name, 0.7, 0.5, self.match)

    def enroll(self, name: str, pictures: list[Any]) -> Any:
        self.pictures = list(pictures)
        count = len(pictures)
        return SimpleNamespace(name=name, templates=count, added=count, rejected=[], warnings=[])


def found(liveness: str | None, now: float, since: float = 0.0) -> LivenessVerdict | None:
    if liveness is None:
        return None
    return LivenessVerdict(Liveness(liveness), now, since, f"is {liveness}", CueScores())


def sight(
    now: float,
    *tracks: int,
    turn: float = 0.0,
    faces: int | None = None,
    liveness: str | None = None,
    since: float = 0.0,
) -> Any:
    face = SimpleNamespace(
        right_eye=Point(0.0, 0.0),
        left_eye=Point(10.0, 0.0),
        nose=Point(5.0 + 10 * turn, 4.0),
        box=(0.0, 0.0, 9.0, 9.0),
    )
    quality = SimpleNamespace(score=1.0, reasons=())
    looks: list[Any] = [
        SimpleNamespace(
            track=track,
            encoded=SimpleNamespace(face=face, quality=quality),
            decision=Decision("ada", 0.7, 0.5, True),
            picture=(track, now),
            time=now,
            liveness=found(liveness, now, since),
        )
        for track in tracks
    ]
    return FrameResult(looks, len(tracks) if faces is None else faces)


def attempt(people: Any) -> LiveEnrollment:
    return LiveEnrollment(people, Profile.STANDARD, "ada", until=60.0)


def test_one_person_who_follows_the_poses_is_enrolled_from_five_pictures() -> None:
    people = People()
    enrollment = attempt(people)
    for step, turn in enumerate(TURNS):
        assert enrollment.answer(float(step)) is None
        enrollment.see(sight(float(step), 1, turn=turn), float(step))
    answer = enrollment.answer(5.0)
    assert answer is not None
    assert answer["added"] == 5


@pytest.mark.parametrize("tracks", [(1, 2), (2, 1), (2,)])
def test_nothing_is_taken_while_two_people_are_in_view(tracks: tuple[int, ...]) -> None:
    people = People()
    enrollment = attempt(people)
    for step in range(300):
        now = step / 10
        enrollment.see(sight(now, *tracks, faces=2), now)
        assert enrollment.answer(now) is None
    told = enrollment.progress(30.0)
    assert told is not None
    assert told["progress"]["good"] == 0
    assert "only one person" in told["progress"]["message"]
    assert "error" in (enrollment.answer(60.0) or {})
    assert people.pictures == []


def test_whoever_comes_between_two_poses_begins_anew() -> None:
    people = People()
    enrollment = attempt(people)
    for step, turn in enumerate(TURNS[:3]):
        enrollment.see(sight(float(step), 1, turn=turn), float(step))
    for step, turn in enumerate(TURNS, 3):
        enrollment.see(sight(float(step), 2, turn=turn), float(step))
    assert enrollment.answer(9.0) is not None
    assert [track for track, _ in people.pictures] == [2] * 5


def test_a_look_is_taken_once_and_not_after_the_person_left() -> None:
    people = People()
    enrollment = attempt(people)
    enrollment.see(sight(0.0, 1), 0.0)
    for step in range(1, 590):
        enrollment.see(sight(step / 10, faces=0), step / 10)
        assert enrollment.answer(step / 10) is None
    answer = enrollment.answer(60.0)
    assert answer is not None
    assert people.pictures == [(1, 0.0)]


def test_a_pose_that_is_not_struck_is_passed_with_a_fresh_picture() -> None:
    people = People()
    enrollment = attempt(people)
    step = 0
    while enrollment.answer(step / 10) is None:
        enrollment.see(sight(step / 10, 1), step / 10)
        step += 1
    assert len(set(people.pictures)) == 5
    assert step / 10 < 20


def test_nearly_the_same_frame_again_is_no_further_vote() -> None:
    people: Any = People()
    verification = LiveVerification(people, RecognitionSettings(agree=3, of=5), OFF, "ada", 60.0)
    identification = LiveIdentification(people, RecognitionSettings(agree=3, of=5), OFF, 60.0)
    for attempt in (verification, identification):
        for step in range(5):
            attempt.see(sight(step / 100, 1), 0.0)
        assert not (attempt.answer(0.0) or {}).get("match")
    assert people.compared == 1
    for step in range(1, 3):
        verification.see(sight(step / 5, 1), 0.0)
    assert (verification.answer(0.0) or {})["match"] is True


def test_an_attempt_is_refused_after_thirty_looks_whatever_its_limit() -> None:
    people: Any = People(match=False)
    verification = LiveVerification(people, RecognitionSettings(), OFF, "ada", 300.0)
    for step in range(300):
        verification.see(sight(step / 5, step // 20), 0.0)
    answer = verification.answer(0.0)
    assert answer is not None
    assert answer["match"] is False
    assert people.compared == 30


@pytest.mark.parametrize("liveness", [None, "spoof", "undetermined"])
def test_who_is_not_shown_to_be_alive_is_refused_and_told_so(liveness: str | None) -> None:
    people: Any = People()
    verification = LiveVerification(people, RecognitionSettings(), Profile.STANDARD, "ada", 60.0)
    identification = LiveIdentification(people, RecognitionSettings(), Profile.STANDARD, 60.0)
    for step in range(100):
        for attempt in (verification, identification):
            attempt.see(sight(step / 5, 1, liveness=liveness), step / 5)
            assert attempt.answer(step / 5) is None
    answer = verification.answer(60.0) or {}
    assert answer["match"] is False
    assert answer["seen"] is True
    assert answer["liveness"] == liveness or (liveness is None and answer["cues"] is None)
    (face,) = (identification.answer(60.0) or {})["faces"]
    assert face["name"] is None
    if liveness:
        assert answer["reason"] == f"is {liveness}"
        told = verification.progress(90.0)
        assert told is None or told["progress"]["message"] == f"is {liveness}"


def test_a_living_match_is_answered_with_its_proof() -> None:
    people: Any = People()
    verification = LiveVerification(people, RecognitionSettings(), Profile.STANDARD, "ada", 60.0)
    identification = LiveIdentification(people, RecognitionSettings(), Profile.STANDARD, 60.0)
    for step in range(3):
        for attempt in (verification, identification):
            assert attempt.answer(0.0) is None
            attempt.see(sight(step / 5, 1, liveness="live"), 0.0)
    answer = verification.answer(0.0) or {}
    assert (answer["match"], answer["liveness"]) == (True, "live")
    assert answer["cues"]["depth"] == 0
    (face,) = (identification.answer(0.0) or {})["faces"]
    assert (face["name"], face["liveness"]) == ("ada", "live")


def test_looks_from_before_it_may_have_been_somebody_else_do_not_count() -> None:
    people: Any = People()
    verification = LiveVerification(people, RecognitionSettings(), Profile.STANDARD, "ada", 60.0)
    for step in range(2):
        verification.see(sight(step / 5, 1, liveness="live"), 0.0)
    for step in range(2, 4):
        verification.see(sight(step / 5, 1, liveness="live", since=0.4), 0.0)
    assert verification.answer(0.0) is None
    verification.see(sight(0.8, 1, liveness="live", since=0.4), 0.0)
    assert (verification.answer(0.0) or {})["match"] is True


def test_nobody_matches_at_high_security_without_a_challenge() -> None:
    people: Any = People()
    verification = LiveVerification(
        people, RecognitionSettings(), Profile.HIGH_SECURITY, "ada", 60.0
    )
    for step in range(100):
        verification.see(sight(step / 5, 1, liveness="live"), 0.0)
    answer = verification.answer(60.0) or {}
    assert answer["match"] is False
    assert answer["challenge"]["state"] == "running"


def test_a_picture_held_to_the_camera_is_not_enrolled() -> None:
    people = People()
    enrollment = attempt(people)
    for step, turn in enumerate(TURNS[:4]):
        enrollment.see(sight(float(step), 1, turn=turn, liveness="undetermined"), float(step))
    for step in range(4, 30):
        enrollment.see(sight(float(step), 1, liveness="spoof"), float(step))
        assert enrollment.answer(float(step)) is None
    answer = enrollment.answer(60.0) or {}
    assert "only a living person can be enrolled" in answer["error"]
    assert people.pictures == []
