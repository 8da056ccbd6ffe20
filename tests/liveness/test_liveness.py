"""A picture does not open the door, a living face does, and in doubt it stays shut."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.attacks.kinds import KINDS, LATER, REPORT, TUNING
from benchmarks.attacks.puppet import Puppet, instants
from benchmarks.attacks.stage import play
from edgeface.demo.animate import Animated
from edgeface.liveness import Liveness, LivenessJudge, LivenessVerdict, Profile, Sampler, may_pass
from edgeface.liveness.anchors import Anchors
from edgeface.liveness.challenge import Challenge, Likeness, State, draw
from edgeface.liveness.cues import CueScores, Evidence, alive, flat
from edgeface.liveness.gestures import Gesture
from edgeface.liveness.register import REGIONS, Comparison
from edgeface.liveness.surface import GRID_NEEDED, regularity
from edgeface.pipeline.detect import Detector, Face
from edgeface.pipeline.geometry import Box, Point
from tests.conftest import PORTRAITS, SHARED, CommandLine

EACH = np.full(REGIONS, 1 / REGIONS)
NOTHING = Comparison(
    time=0, followed=1, noise=0.5, turn=1, agreement=0 * EACH, expected=EACH, strength=EACH,
    mouth=0, eyes=0, nose=0, brow=0, cheeks=0, opening=0, jaw=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(1)


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return Sampler()


@pytest.fixture(scope="module")
def scene(portrait: Any, detector: Detector) -> Any:
    """A shipped portrait as a camera frames it: 640x480, the face about 150 px wide."""

    def make(name: str) -> tuple[np.ndarray, Face]:
        picture = portrait(name)
        face = detector.detect(picture, 60, first_found=True)[0]
        scale = 150 / face.box.width
        centre = face.box.centre
        matrix = np.array([[scale, 0, 320 - scale * centre.x], [0, scale, 230 - scale * centre.y]])
        framed = cv2.warpAffine(
            picture, matrix, (640, 480), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
        )
        frame = np.asarray(framed, np.uint8)
        return frame, detector.detect(frame)[0]

    return make


def verdicts(frames: Any, detector: Detector, sampler: Sampler) -> list[LivenessVerdict]:
    judge, found = LivenessJudge(sampler), []
    for time, frame in frames:
        faces = detector.detect(frame)
        if faces:
            verdict = judge.observe(time, frame, faces[0])
            assert verdict is not None
            found.append(verdict)
    return found


@pytest.mark.parametrize("name", ["obama", "biden", "collins"])
def test_a_speaking_face_is_live_within_three_seconds(
    name: str, scene: Any, detector: Detector, sampler: Sampler
) -> None:
    animated = Animated(*scene(name))
    frames = ((t, animated.speaking(t)) for t in instants(3))
    assert verdicts(frames, detector, sampler)[-1].liveness is Liveness.LIVE


@pytest.mark.parametrize("name", ["obama", "biden", "collins"])
def test_the_same_face_held_as_a_print_is_never_live(
    name: str, scene: Any, detector: Detector, sampler: Sampler
) -> None:
    animated = Animated(*scene(name))
    found = verdicts(((t, animated.held(t)) for t in instants(3)), detector, sampler)
    assert len(found) >= 25
    assert all(verdict.liveness is not Liveness.LIVE for verdict in found)


STILLS = [k for k in {**TUNING, **REPORT} if "video" not in k and "eye holes" not in k]
STILLS += [k for k in LATER if k.split()[0] in {"finger", "shadow", "standee"} or "folded" in k]


@pytest.mark.parametrize("kind", STILLS)
def test_a_still_of_every_kind_is_not_taken_for_live(
    kind: str, portrait: Any, detector: Detector, sampler: Sampler
) -> None:
    """One attempt a kind: how many get in is for the bench to say (docs/liveness.md)."""
    random = np.random.default_rng(9)
    picture = portrait("biden")
    side = min(picture.shape[:2])
    still = cv2.resize(picture[:side, :side], (250, 250), interpolation=cv2.INTER_AREA)
    script = KINDS[kind](random)
    shots = play(script, lambda time: still, random, seconds=2)
    found = verdicts(((s.time, s.picture) for s in shots), detector, sampler)
    assert len(found) >= 6
    assert all(verdict.liveness is not Liveness.LIVE for verdict in found)


def test_kinds_for_tuning_are_not_kinds_for_the_report() -> None:
    assert not set(TUNING) & set(REPORT)
    assert len(REPORT) >= 3


def test_a_frozen_frame_always_stays_undetermined(
    scene: Any, detector: Detector, sampler: Sampler
) -> None:
    frame, _ = scene("obama")
    found = verdicts(((t, frame) for t in instants(4)), detector, sampler)
    assert {verdict.liveness for verdict in found} == {Liveness.UNDETERMINED}


def test_samples_too_close_together_are_not_judged(scene: Any, sampler: Sampler) -> None:
    frame, face = scene("obama")
    judge = LivenessJudge(sampler)
    assert judge.observe(1.0, frame, face) is not None
    assert judge.observe(1.03, frame, face) is None
    assert judge.observe(1.1, frame, face) is not None


@pytest.mark.parametrize("how", ["unseen", "elsewhere", "no face"])
def test_live_is_not_inherited_by_what_comes_after(
    how: str, scene: Any, detector: Detector, sampler: Sampler
) -> None:
    frame, face = scene("obama")
    animated = Animated(frame, face)
    judge = LivenessJudge(sampler)
    for t in instants(3):
        verdict = judge.take(t, sampler.sample(t, animated.speaking(t), face), face)
    assert verdict.liveness is Liveness.LIVE
    begun = verdict.since
    sample = sampler.sample(3.0, frame, face)
    if how == "unseen":
        verdict = judge.take(4.0, sample, face)
    elif how == "elsewhere":
        box = Box(face.box.x + 2 * face.box.width, face.box.y, face.box.width, face.box.height)
        verdict = judge.take(3.0, sample, replace(face, box=box))
    else:
        for t in (3.0, 3.1, 3.2):
            verdict = judge.take(t, None, face)
    assert verdict.liveness is Liveness.UNDETERMINED
    assert verdict.since > begun


def test_live_is_forgotten_some_seconds_after_the_last_proof(
    scene: Any, detector: Detector, sampler: Sampler
) -> None:
    frame, face = scene("obama")
    animated = Animated(frame, face)
    judge = LivenessJudge(sampler)
    for t in instants(3):
        verdict = judge.take(t, sampler.sample(t, animated.speaking(t), face), face)
    assert verdict.liveness is Liveness.LIVE
    for t in instants(12, 3):
        verdict = judge.take(t, sampler.sample(t, frame, face), face)
    assert verdict.liveness is not Liveness.LIVE


def test_a_face_cut_by_the_edge_of_the_frame_gives_no_sample(scene: Any, sampler: Sampler) -> None:
    frame, face = scene("obama")
    cut = int(face.mouth.y)
    assert sampler.sample(0.0, frame, face) is not None
    assert sampler.sample(0.0, np.ascontiguousarray(frame[:cut]), face) is None


def test_a_place_without_a_face_gives_no_sample(sampler: Sampler) -> None:
    wall = np.full((480, 640, 3), 120, np.uint8)
    face = Face(
        Box(200, 100, 150, 150), Point(240, 150), Point(310, 150),
        Point(275, 190), Point(275, 220), 0.9,
    )  # fmt: skip
    assert sampler.sample(0.0, wall, face) is None


def shown(count: int = 30, rate: float = 10, grid: float = 0, **changes: Any) -> CueScores:
    """The scores of so many comparisons that are all alike, at a rate, on a gridded surface."""
    evidence = Evidence()
    for number in range(count):
        evidence.add(replace(NOTHING, time=number / rate, **changes))
    return evidence.scores(grid)


SOLID: dict[str, Any] = {"turn": 6, "agreement": EACH, "expected": EACH}
TALKING: dict[str, Any] = {"mouth": 0.3, "opening": 0.3, "jaw": 0.3}
LOOKING: dict[str, Any] = {"eyes": 0.3}


def test_a_turning_head_is_alive_at_five_frames_a_second_too() -> None:
    assert alive(shown(**SOLID))
    assert alive(shown(10, rate=5, **SOLID))


def test_a_moment_proves_nothing() -> None:
    assert not alive(shown(2, **SOLID))
    assert not alive(shown(2, **TALKING))


def test_parallax_in_one_region_is_what_passes_before_a_print() -> None:
    for region in range(REGIONS):
        one = 8 * EACH * (np.arange(REGIONS) == region)
        assert not alive(shown(turn=6, agreement=one))


def test_eyes_alone_do_not_prove_life() -> None:
    """Somebody may look through the holes of a print."""
    assert not alive(shown(**LOOKING))
    assert alive(shown(**{**SOLID, "agreement": 0.25 * EACH}, **LOOKING))


def test_eyes_and_mouth_behind_holes_do_not_add_up() -> None:
    half_open = {**TALKING, "mouth": 0.014}
    assert 0.7 < shown(**half_open).life < 1
    assert shown(**half_open, **LOOKING).life == shown(**half_open).life


@pytest.mark.parametrize("gain", [0.1, 2])
def test_much_more_or_less_parallax_than_a_head_s_proves_nothing(gain: float) -> None:
    """A passing hand shows more, a rolled sheet less."""
    found = shown(turn=6, agreement=4 * gain * EACH, expected=4 * EACH)
    assert found.depth > 0.8
    assert not alive(found)
    assert alive(replace(found, depth=9, gain=0.5))
    assert not alive(replace(found, depth=9))


def test_a_mouth_without_a_chin_is_a_hole_or_a_finger() -> None:
    for jaw in (0.0, None, -0.3, 2.0):
        assert not alive(shown(**{**TALKING, "jaw": jaw}))
        assert not alive(shown(**{**TALKING, "jaw": jaw}, **LOOKING))
    assert alive(shown(**TALKING))


def test_a_chin_that_moves_without_a_mouth_proves_nothing() -> None:
    assert not alive(shown(opening=0.3, jaw=0.3))


def test_a_pixel_grid_makes_parallax_worthless() -> None:
    assert not alive(shown(grid=35, **SOLID))
    assert alive(shown(grid=35, **TALKING))


@pytest.mark.parametrize("fault", [{"nose": 0.1}, {"cheeks": 0.1}, {"followed": 0.6}])
def test_a_lost_registration_is_not_life(fault: dict[str, float]) -> None:
    found = shown(**{**TALKING, **LOOKING, **fault})
    assert (found.mouth, found.eyes) == (0, 0)
    assert not alive(found)


def test_a_mouth_that_changes_without_opening_is_a_shadow() -> None:
    assert shown(mouth=0.3, opening=0.0).mouth == 0


def test_turning_without_parallax_is_called_a_sheet() -> None:
    for count, rate in ((30, 10), (15, 5)):
        found = shown(count, rate, turn=6, expected=2 * EACH)
        assert flat(found)
        assert not alive(found)


def test_who_stands_still_is_not_called_a_sheet() -> None:
    """What a mesh at rest leads to expect is its noise, however much of it there is."""
    for expected in (1, 4, 40):
        assert not flat(shown(turn=2, expected=expected * EACH))


def test_a_face_in_which_something_lives_is_not_called_a_sheet() -> None:
    for alive_in_it in (LOOKING, TALKING):
        assert not flat(shown(turn=6, expected=2 * EACH, **alive_in_it))


def test_old_samples_are_dropped() -> None:
    evidence = Evidence(window=2)
    for number in range(50):
        evidence.add(replace(NOTHING, time=number / 10))
    assert evidence.scores().seen <= 21


LIVE = LivenessVerdict(Liveness.LIVE, 1, 0, "")
UNSURE = LivenessVerdict(Liveness.UNDETERMINED, 1, 0, "")
SPOOF = LivenessVerdict(Liveness.SPOOF, 1, 0, "")


def test_only_the_convenience_profile_opens_without_liveness() -> None:
    assert may_pass(Profile.CONVENIENCE, None)
    for profile in (Profile.STANDARD, Profile.HIGH_SECURITY):
        for verdict in (None, UNSURE, SPOOF):
            assert not may_pass(profile, verdict)
    assert may_pass(Profile.STANDARD, LIVE)


def test_high_security_needs_the_challenge_too(scene: Any, sampler: Sampler) -> None:
    assert not may_pass(Profile.HIGH_SECURITY, LIVE)
    status = Challenge(LIKENESS).status
    assert not may_pass(Profile.HIGH_SECURITY, LIVE, status)
    passed = replace(status, state=State.PASSED)
    assert may_pass(Profile.HIGH_SECURITY, LIVE, passed)
    assert not may_pass(Profile.HIGH_SECURITY, UNSURE, passed)


ANN = np.eye(128, dtype=np.float32)[0]
BOB = np.eye(128, dtype=np.float32)[1]
LIKENESS = Likeness(0.3, 0.5)


@pytest.fixture(scope="module")
def rest(scene: Any, sampler: Sampler) -> Any:
    frame, face = scene("biden")
    return sampler.sample(0.0, frame, face)


def attempt(
    rest: Any,
    gestures: tuple[Gesture, ...],
    does: Any = lambda gesture, step: gesture,
    who: Any = lambda time, step: ANN,
    alone: Any = lambda time: True,
    place: Any = lambda time, step: (320.0, 240.0),
) -> Any:
    """Play an attempt: what the face does, whose embedding is seen, whether others are in view."""
    puppet = Puppet(rest, np.random.default_rng(0))
    challenge = Challenge(LIKENESS, gestures)
    status, prompt, since = challenge.status, "", 0.0
    for number, time in enumerate(instants(40)):
        if status.prompt != prompt:
            prompt, since = status.prompt, time
        asked = next((g for g in Gesture if g.value == prompt), None)
        shown = does(asked, status.step) if asked else None
        sample = replace(puppet.answer(time, shown, time - since), place=place(time, status.step))
        proof = who(time, status.step) if number % 5 == 0 else None
        status = challenge.observe(time, sample, proof, alone=alone(time))
        if status.state is not State.RUNNING:
            return status
    return status


ALL = (Gesture.LEFT, Gesture.RIGHT, Gesture.UP, Gesture.MOUTH, Gesture.BLINK)


@pytest.mark.parametrize("gesture", ALL)
def test_every_gesture_is_recognized(gesture: Gesture, rest: Any) -> None:
    status = attempt(rest, (gesture,))
    assert status.state is State.PASSED, status.prompt


@pytest.mark.parametrize(
    ("asked", "shown"),
    [(asked, shown) for asked in ALL for shown in ALL if asked is not shown],
)
def test_another_gesture_fails(asked: Gesture, shown: Gesture, rest: Any) -> None:
    status = attempt(rest, (asked,), does=lambda gesture, step: shown)
    assert status.state is State.FAILED


def test_doing_nothing_fails_in_time(rest: Any) -> None:
    status = attempt(rest, draw(Random(1)), does=lambda gesture, step: None)
    assert status.state is State.FAILED
    assert "too late" in status.prompt


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_face_swapped_in_the_middle_never_passes(step: int, rest: Any) -> None:
    gestures = (Gesture.LEFT, Gesture.MOUTH, Gesture.RIGHT)
    status = attempt(rest, gestures, who=lambda time, at: BOB if at >= step and time > 1 else ANN)
    assert status.state is State.FAILED
    assert "changed" in status.prompt


def test_an_answer_that_is_never_proven_never_passes(rest: Any) -> None:
    status = attempt(rest, (Gesture.LEFT,), who=lambda time, at: ANN if time < 0.5 else None)
    assert status.state is State.FAILED


def test_a_face_that_jumps_fails(rest: Any) -> None:
    status = attempt(
        rest, (Gesture.LEFT,), place=lambda time, at: (320.0, 240.0) if time < 1 else (520.0, 240.0)
    )
    assert status.state is State.FAILED
    assert "jumped" in status.prompt


def test_a_helper_in_view_fails(rest: Any) -> None:
    status = attempt(rest, (Gesture.LEFT,), alone=lambda time: time < 1)
    assert status.state is State.FAILED
    assert "somebody else" in status.prompt


def test_a_face_that_leaves_fails(rest: Any) -> None:
    challenge = Challenge(LIKENESS, (Gesture.LEFT,))
    challenge.observe(0.0, replace(rest, time=0.0), ANN)
    assert challenge.observe(0.3, None).state is State.RUNNING
    assert challenge.observe(0.8, None).state is State.FAILED


def test_a_failed_attempt_stays_failed(rest: Any) -> None:
    challenge = Challenge(LIKENESS, (Gesture.LEFT,))
    challenge.observe(0.0, rest, ANN, alone=False)
    assert challenge.observe(0.1, rest, ANN).state is State.FAILED


def test_gestures_are_drawn_each_time_with_a_turn_among_them() -> None:
    drawn = {draw() for _ in range(60)}
    assert len(drawn) > 15
    assert all(len(set(gestures)) == 3 for gestures in drawn)
    turns = {Gesture.LEFT, Gesture.RIGHT, Gesture.UP}
    assert all(turns & set(gestures) for gestures in drawn)


def test_living_people_are_taken_for_live(detector: Detector, sampler: Sampler) -> None:
    clip = SHARED / "data" / "live" / "d18.mp4"
    if not clip.exists():
        pytest.skip("the live clips are not here")
    from benchmarks.attacks.material import frames

    shots = [(t, picture) for t, picture in frames(clip, 10) if t < 4]
    assert verdicts(shots, detector, sampler)[-1].liveness is Liveness.LIVE


def test_a_pixel_grid_is_distinguished_from_noise() -> None:
    random = np.random.default_rng(3)
    skin = random.normal(120, 6, (96, 96))
    x, y = np.meshgrid(np.arange(96), np.arange(96))
    grid = 12 * np.sin(1.7 * x + 0.2 * y)
    assert regularity(np.clip(skin, 0, 255).astype(np.uint8)) < GRID_NEEDED
    assert regularity(np.clip(skin + grid, 0, 255).astype(np.uint8)) > GRID_NEEDED


def test_a_grid_over_a_speaking_face_is_a_screen(scene: Any, sampler: Sampler) -> None:
    frame, face = scene("obama")
    animated = Animated(frame, face)
    x, y = np.meshgrid(np.arange(640), np.arange(480))
    grid = (14 * np.sin(1.7 * x + 0.2 * y))[..., None]
    judge = LivenessJudge(sampler)
    for t in instants(2):
        screen = np.clip(animated.speaking(t) + grid, 0, 255).astype(np.uint8)
        verdict = judge.take(t, sampler.sample(t, screen, face), face)
    assert verdict.liveness is Liveness.SPOOF


def test_the_demo_shows_a_living_face_and_a_photo(edgeface: CommandLine) -> None:
    living, photo = edgeface("demo", "--json").json["liveness"]
    assert living["liveness"] == "live"
    assert photo["liveness"] != "live"


def test_verifying_a_still_says_that_liveness_was_not_judged(edgeface: CommandLine) -> None:
    edgeface("enroll", "ann", PORTRAITS / "obama.jpg")
    done = edgeface("verify", "ann", PORTRAITS / "obama2.jpg", "--json")
    assert done.json["liveness"] == "not judged"
    assert "liveness not judged" in edgeface("verify", "ann", PORTRAITS / "obama2.jpg").stdout


def test_a_still_is_registered_with_itself_wherever_it_is(scene: Any, sampler: Sampler) -> None:
    """A head that did not turn measures a rounding below or above none, by processor and place."""
    frame, face = scene("obama")
    sample = sampler.sample(0.0, frame, face)
    assert sample is not None
    for step in range(100):
        anchors = Anchors()
        still = replace(sample, points=sample.points * (1 + step / 1000))
        anchors.compare(still)
        assert anchors.any
        anchors.compare(replace(still, time=0.1))
