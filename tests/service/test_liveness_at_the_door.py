"""A photo held to the running camera is not recognized, a living person is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.attacks.puppet import Puppet
from edgeface.events import Event
from edgeface.liveness import Challenge, Liveness, LivenessVerdict, Profile, Sampler
from edgeface.liveness.gestures import Gesture
from edgeface.pipeline.pictures import Picture
from edgeface.service import proof, session
from edgeface.service.config import RecognitionSettings
from edgeface.service.people import People
from edgeface.service.watch import Watch
from edgeface.sources import Frame
from edgeface.system.units import Seconds
from tests.conftest import CHECKOUT
from tests.helpers.service import LONG, Running, shown, shown_video
from tests.service.test_run import enroll, run

FPS = 15


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    return enroll(folder / "gallery.safetensors", barack="obama", joe="biden")


@pytest.fixture(scope="module")
def people(gallery: Path) -> People:
    return People(RecognitionSettings(gallery=str(gallery)))


def watched(
    people: People, frames: Iterator[tuple[float, Picture]], profile: Profile = Profile.STANDARD
) -> Iterator[Event]:
    """The events of frames, as they come, and of their end; everybody is encoded often, so that
    whoever takes another's place is recognized soon if at all."""
    watch = Watch(people, RecognitionSettings(recheck=Seconds(0.2)), profile)
    for time, picture in frames:
        for event, _ in watch.step(Frame(picture, time), "test").events:
            yield event
    for event, _ in watch.finish("test").events:
        yield event


def after_each_other(*parts: tuple[Callable[[float], Picture], float]) -> Iterator[Any]:
    """Frames of one thing for some seconds, then of the next in the same place."""
    number = 0
    for at, seconds in parts:
        for _ in range(round(seconds * FPS)):
            yield number / FPS, at(number / FPS)
            number += 1


def test_a_person_who_speaks_is_recognized_with_the_proof(tmp_path: Path, gallery: Path) -> None:
    video = shown_video(tmp_path / "v.avi", "obama2", "speaking", 6)
    (event,) = run(gallery, "--source", video, profile="standard")
    assert (event["type"], event["name"], event["liveness"]) == ("recognized", "barack", "live")
    assert event["cues"]["life"] >= 1
    assert event["reason"]


def test_a_photo_held_to_the_camera_is_reported_without_a_name(
    tmp_path: Path, gallery: Path
) -> None:
    video = shown_video(tmp_path / "v.avi", "obama2", "held", 4)
    (event,) = run(gallery, "--source", video, profile="standard")
    assert (event["type"], event["name"], event["liveness"]) == ("not_live", None, "spoof")
    assert event["score"] >= event["threshold"]
    assert "looks like barack" in event["message"]
    for profile in ("convenience", None):  # a recording is judged only with a profile
        (event,) = run(gallery, "--source", video, profile=profile)
        assert (event["type"], event["name"]) == ("recognized", "barack")
        assert event["liveness"] == "not judged"


@pytest.mark.parametrize("profile", ["standard", "high_security"])
@pytest.mark.parametrize("how", ["held", "still"])
@pytest.mark.parametrize("name", ["obama2", "biden", "collins"])
def test_no_photo_is_ever_recognized(name: str, how: str, profile: str, people: People) -> None:
    frames = after_each_other((shown(name, how), 4))
    told = {(event.type, event.name) for event in watched(people, frames, Profile(profile))}
    prompts = {"standard": "prompt", "high_security": "challenge"}
    assert told <= {("not_live", None), ("unknown", None), (prompts[profile], None)}
    assert told


def test_a_picture_file_shows_nobody_alive(gallery: Path) -> None:
    picture = CHECKOUT / "edgeface" / "portraits" / "obama2.jpg"
    (event,) = run(gallery, "--source", picture, profile="standard")
    assert (event["type"], event["name"]) == ("not_live", None)
    assert "one picture" in event["message"]


@pytest.mark.parametrize("order", ["photo first", "person first"])
def test_a_photo_in_the_same_place_does_not_inherit_a_person_s_proof(
    order: str, people: People
) -> None:
    photo, person = (shown("biden", "held"), 3.0), (shown("collins", "speaking"), 3.0)
    parts = [photo, person] if order == "photo first" else [person, photo]
    assert all(event.type != "recognized" for event in watched(people, after_each_other(*parts)))


def test_who_holds_still_is_asked_to_turn_and_recognized_after_it(people: People) -> None:
    frames = after_each_other((shown("obama2", "still"), 3), (shown("obama2", "speaking"), 3))
    asked, recognized = watched(people, frames)
    assert (asked.type, asked.name, asked.score) == ("prompt", None, None)
    assert (asked.liveness, asked.message) == (
        "undetermined",
        "turn your head a little to one side and back",
    )
    assert (recognized.type, recognized.name) == ("recognized", "barack")


def test_the_prompt_is_repeated_twice_and_then_no_more(people: People) -> None:
    still = shown("obama2", "still")
    frames = ((number / 5, still(number / 5)) for number in range(100))
    told = [event.type for event in watched(people, frames)]
    assert told == ["prompt", "prompt", "prompt", "not_live"]


def test_who_is_nobody_s_likeness_is_asked_for_nothing(people: People) -> None:
    told = {
        event.type for event in watched(people, after_each_other((shown("collins", "still"), 3)))
    }
    assert told == {"unknown"}


def test_an_enrolled_person_gains_nothing_for_the_photo_of_another(people: People) -> None:
    frames = after_each_other((shown("obama2", "speaking"), 3), (shown("biden", "held"), 4))
    names = [event.name for event in watched(people, frames) if event.type == "recognized"]
    assert names == ["barack"]


def test_a_video_that_answers_nothing_is_not_recognized_at_high_security(people: People) -> None:
    frames = after_each_other((shown("obama2", "speaking"), 14))
    events = list(watched(people, frames, Profile.HIGH_SECURITY))
    assert all(event.name is None for event in events)
    prompts = [event for event in events if event.type == "challenge"]
    assert prompts[0].message == "look straight at the camera"
    assert any(event.challenge and event.challenge.state == "failed" for event in prompts)


class Obliging(Sampler):
    """Sees a face that follows the prompts; there is no footage of a person who does."""

    asked: str = ""

    def __init__(self, mesh: Any) -> None:
        super().__init__(mesh)
        self._puppet: Puppet | None = None
        self._heard, self._since = "", 0.0

    def sample(self, time: float, frame: Picture, face: Any) -> Any:
        if self._puppet is None:
            seen = super().sample(time, frame, face)
            assert seen is not None
            self._puppet = Puppet(seen, np.random.default_rng(0))
        if Obliging.asked != self._heard:
            self._heard, self._since = Obliging.asked, time
        gesture = next((g for g in Gesture if g.value == self._heard), None)
        return self._puppet.answer(time, gesture, time - self._since)


class Alive:
    """Finds life in every face: the passive cues are tested elsewhere."""

    def __init__(self, sampler: Sampler) -> None:
        pass

    def take(self, time: float, sample: Any, face: Any) -> LivenessVerdict:
        return LivenessVerdict(Liveness.LIVE, time, 0.0, "a living face")


def test_who_answers_the_challenge_is_recognized_once_and_not_before(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "Sampler", Obliging)
    monkeypatch.setattr(proof, "LivenessJudge", Alive)
    gestures = (Gesture.LEFT, Gesture.MOUTH, Gesture.UP)
    monkeypatch.setattr(session, "Challenge", lambda likeness: Challenge(likeness, gestures))
    events: list[Event] = []
    frames = after_each_other((shown("biden", "still"), 20))
    for event in watched(people, frames, Profile.HIGH_SECURITY):
        events.append(event)
        Obliging.asked = (event.message or "") if event.challenge else Obliging.asked
    told = [(event.type, event.name, event.message) for event in events]
    passed = told.index(("challenge", None, "thank you"))
    assert [name for _, name, _ in told if name] == ["joe"]
    assert told[passed + 1] == ("recognized", "joe", None)


@pytest.fixture
def door(tmp_path: Path, gallery: Path) -> Callable[[str], Running]:
    """The service, in `standard`, before an endless video of barack's picture.

    Every frame is seen, and the video's own time is the clock of liveness, however slow the
    machine is. Only `within` counts real seconds.
    """

    def open_(how: str) -> Running:
        video = shown_video(tmp_path / "live.avi", "obama2", how, 4)
        (tmp_path / "gallery.safetensors").write_bytes(gallery.read_bytes())
        return Running(
            tmp_path,
            f'[source]\nspec = "{video}"\npace = "fast"\nloop = true\n'
            '[liveness]\nprofile = "standard"\n[lockout]\nattempts = 50\n',
        ).ready()

    return open_


def test_live_requests_before_a_person_who_speaks(door: Any) -> None:
    with door("speaking") as service:
        *_, verified = service.ask(command="verify", name="barack", within=LONG)
        assert (verified["match"], verified["liveness"]) == (True, "live")
        *_, identified = service.ask(command="identify", within=LONG)
        assert [(f["name"], f["liveness"]) for f in identified["faces"]] == [("barack", "live")]
        assert service.ask(command="status")[0]["in_view"][0]["liveness"] == "live"
        done = service.command("verify", "barack", "--live", "--challenge", "--within", str(LONG))
        assert done.returncode == 1
        assert "look straight at the camera" in done.stderr
        assert "challenge failed" in done.stdout


def test_live_requests_before_a_photo(door: Any) -> None:
    with door("held") as service:
        *hints, verified = service.ask(command="verify", name="barack", within=8)
        assert (verified["match"], verified["seen"]) == (False, True)
        assert verified["score"] >= verified["threshold"]
        assert verified["liveness"] in {"spoof", "undetermined"}
        assert hints
        *_, identified = service.ask(command="identify", within=5)
        assert [face["name"] for face in identified["faces"]] == [None]
        done = service.command("verify", "barack", "--live", "--within", "5")
        assert done.returncode == 1
        assert "liveness" in done.stdout
        *_, refused = service.ask(command="enroll", name="other", within=8)
        assert "only a living person can be enrolled" in refused["error"]


def test_pictures_held_to_the_camera_lock_the_door(tmp_path: Path, gallery: Path) -> None:
    video = shown_video(tmp_path / "v.avi", "obama2", "held", 4)
    settings = tmp_path / "s.toml"
    settings.write_text("[lockout]\nattempts = 1\n")
    told = run(gallery, "--source", video, "--config", settings, profile="standard")
    assert [event["type"] for event in told] == ["not_live", "lockout"]
    settings.write_text("[lockout]\nattempts = 1\ncount_spoof = false\n")
    told = run(gallery, "--source", video, "--config", settings, profile="standard")
    assert [event["type"] for event in told] == ["not_live"]
