"""Rules at the door: who comes at another time is recognized, and nothing opens."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from edgeface.cli import main
from edgeface.events import Event
from edgeface.gallery.names import person_name
from edgeface.gallery.rules import Rules, parse_hours, parse_until
from edgeface.gallery.rules_file import change_rules, rules_of
from edgeface.service.audit import read_audit
from edgeface.service.permits import Permits
from edgeface.system.clock import Clock
from edgeface.verifier import FaceVerifier
from tests.helpers.command import call
from tests.helpers.service import PORTRAITS, Running, portrait_video

FRIDAY_NOON = datetime.fromisoformat("2026-11-27T12:00:00").astimezone()


class Turned:
    def __init__(self, at: datetime = FRIDAY_NOON) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at.timestamp()


def event(kind: Any = "recognized", name: str | None = "ada") -> Event:
    return Event(
        type=kind, time="2026-11-27T12:00:00.000Z", track=1, name=name, score=0.9, threshold=0.5,
        id="1", source="camera",
    )  # fmt: skip


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    folder = tmp_path / "people"
    folder.mkdir(mode=0o700)
    return folder / "gallery.safetensors"


def set_rules(gallery: Path, hours: str | None = None, **more: Any) -> None:
    rules = Rules(None if hours is None else parse_hours(hours), **more)
    change_rules(gallery, person_name("ada"), rules)
    day_before = FRIDAY_NOON.timestamp() - 86400
    os.utime(rules_of(gallery), (day_before, day_before))


def permits(gallery: Path, now: Turned, *, trusted: bool = True) -> Permits:
    return Permits(gallery, Clock(trusted, gallery.parent / "nothing", now))


def kinds(one: Permits, seen: Event) -> dict[str, str]:
    """What each sink gets."""
    given, instead = one.judge(seen)
    sinks = ("stdout", "exec", "gpio", "mqtt", "webhook")
    return {name: instead.get(name, given).type for name in sinks}


def test_outside_the_hours_every_sink_hears_that_nothing_may_open_and_why(gallery: Path) -> None:
    now = Turned()
    set_rules(gallery, "fri 12:00-13:00")
    door = permits(gallery, now)
    assert set(kinds(door, event()).values()) == {"recognized"}
    now.at = now.at.replace(hour=13)
    given, instead = door.judge(event())
    assert (given.type, given.name, given.id, instead) == ("not_permitted", "ada", "1", {})
    assert given.message == "outside the hours: fri 12:00-13:00"
    assert set(kinds(door, event(name="bob")).values()) == {"recognized"}  # has no rules
    for other in (event("unknown", None), event("not_live", None), event("person_removed")):
        assert door.judge(other) == (other, {})


def test_an_output_that_is_not_among_a_persons_does_not_hear_of_a_recognition(
    gallery: Path,
) -> None:
    set_rules(gallery, outputs=("gpio",))
    door = permits(gallery, Turned(), trusted=False)  # no time decides: the clock may be wrong
    refused = dict.fromkeys(("exec", "mqtt", "webhook"), "not_permitted")
    assert kinds(door, event()) == {"stdout": "recognized", "gpio": "recognized", **refused}
    assert door.allows("ada", "gpio")
    assert not door.allows("ada", "mqtt")


def test_a_clock_that_cannot_be_trusted_opens_nothing_to_who_has_hours(gallery: Path) -> None:
    set_rules(gallery, "mon-sun 00:00-24:00")
    door = permits(gallery, Turned(), trusted=False)
    given, _ = door.judge(event())
    assert (given.type, "nothing confirms the clock" in str(given.message)) == (
        "not_permitted",
        True,
    )
    assert "nothing confirms the clock" in str(door.trouble)
    assert door.judge(event(name="bob"))[0].type == "recognized"
    # A clock that has gone back before the rules were written is wrong, whoever vouches for it.
    back = Turned(FRIDAY_NOON.replace(year=2025, month=12))
    assert "set back" in str(permits(gallery, back).judge(event())[0].message)


def test_a_last_day_ends_it(gallery: Path) -> None:
    now = Turned()
    set_rules(gallery, until=parse_until("2026-11-27"))
    door = permits(gallery, now)
    assert door.refusal("ada") is None
    now.at = now.at.replace(day=28, hour=0)
    assert door.refusal("ada") == "allowed until 2026-11-27 only"


def test_live_attempts_let_nobody_in_whom_the_rules_refuse(gallery: Path) -> None:
    set_rules(gallery, "never")
    door = permits(gallery, Turned())
    verified = {"match": True, "name": "ada", "score": 0.9}
    refused = door.answer(verified)
    assert (refused["match"], "outside the hours" in refused["note"]) == (False, True)
    assert door.answer({**verified, "name": "bob"})["match"] is True
    faces = door.answer({"faces": [{"name": "ada"}, {"name": "bob"}, {"name": None}]})["faces"]
    assert [face["name"] for face in faces] == [None, "bob", None]
    assert faces[0]["note"] == "ada is recognized, but outside the hours: never"
    set_rules(gallery, outputs=("gpio",))
    door.refresh()
    assert door.answer(verified)["note"] == "recognized, but live is not among the outputs"


def test_rules_that_are_damaged_or_gone_open_nothing_to_anybody(gallery: Path) -> None:
    set_rules(gallery, outputs=("gpio",))
    good = rules_of(gallery).read_bytes()
    door = permits(gallery, Turned())
    rules_of(gallery).write_bytes(good[:-9])
    door.refresh()
    assert "are damaged" in str(door.problem)
    assert door.judge(event(name="bob"))[0].type == "not_permitted"
    assert not door.allows("ada", "gpio")
    rules_of(gallery).write_bytes(good)
    door.refresh()
    assert door.problem is None
    assert door.allows("ada", "gpio")
    rules_of(gallery).unlink()
    for _ in range(2):
        door.refresh()
        assert "are gone" in str(door.problem)
        assert door.judge(event())[0].type == "not_permitted"


def test_the_running_service_opens_to_whom_and_when_the_rules_say(tmp_path: Path) -> None:
    video = portrait_video(tmp_path / "video.avi", "obama", "biden")
    opened = tmp_path / "opened"
    opened.touch()
    verifier = FaceVerifier(tmp_path / "gallery.safetensors")
    verifier.enroll("ada", [PORTRAITS / "obama.jpg"])
    verifier.enroll("bob", [PORTRAITS / "biden.jpg"])
    settings = (
        f'[source]\nspec = "{video}"\nloop = true\npace = "own"\n'
        '[recognition]\ncooldown = "1 s"\nrecheck = "1 s"\n[rules]\nclock = "trusted"\n'
        f'[exec]\ncommand = ["/bin/sh", "-c", "cat >> {opened}"]\n'
    )
    change_rules(verifier.gallery.path, person_name("ada"), Rules(hours=()))
    change_rules(verifier.gallery.path, person_name("bob"), Rules(outputs=("gpio",)))

    def let_in() -> set[str]:
        return {json.loads(line)["name"] for line in opened.read_text().splitlines()}

    with Running(tmp_path, settings).ready() as service:
        service.until(lambda: service.of("not_permitted") and service.of("recognized"))
        refused, known = service.of("not_permitted")[0], service.of("recognized")[0]
        assert (refused["name"], refused["message"]) == ("ada", "outside the hours: never")
        assert known["name"] == "bob"
        (tried,) = service.ask_on(service.socket, command="verify", name="ada", within=20)[-1:]
        assert (tried["match"], tried["seen"]) == (False, True)
        assert tried["note"] == "recognized, but outside the hours: never"
        assert let_in() == set()

        (stranger,) = service.ask_on(service.socket, command="rules", name="ada", rules={})
        assert "for administrators" in stranger["error"]
        for wrong in ({"hours": "8-18"}, {"until": "x"}, {"outputs": ["door"]}, {"days": "x"}):
            (answer,) = service.ask(command="rules", name="ada", rules=wrong)
            assert len(answer["error"]) > 20
        (listed,) = service.ask(command="list")
        assert listed["rules"]["ada"] == {"hours": "never", "until": None, "outputs": None}
        (free,) = service.ask(command="rules", name="ada", rules={"hours": None})
        assert free == {"name": "ada", "hours": None, "until": None, "outputs": None}
        service.until(let_in)
        assert let_in() == {"ada"}
        records, _ = read_audit(tmp_path / "audit.jsonl")
        assert [r.detail for r in records if r.command == "rules" and r.outcome == "done"] == [
            "set to no limit"
        ]

        rules_of(verifier.gallery.path).write_bytes(b"damage")
        service.until(lambda: service.ask(command="status")[0]["rules_problem"])
        service.until(lambda: [e for e in service.of("not_permitted") if e["name"] == "bob"])
        status = call(main, "status", environment=service.environment)
        assert "nothing opens to those who have rules: the rules" in status.stdout
        doctor = call(main, "doctor", "--json", environment=service.environment)
        (found,) = [one for one in doctor.json["checks"] if one["name"] == "service"]
        assert (found["ok"], "rules open nothing" in found["detail"]) == (False, True)
        assert "bring back a good copy" in found["advice"]
