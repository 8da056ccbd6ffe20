"""The desk: the lockout holds for everybody, however they ask and however they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from edgeface.decide import Decision
from edgeface.errors import UnknownPerson
from edgeface.liveness import Profile
from edgeface.service.audit import AuditLog, read_audit
from edgeface.service.config import LockoutSettings as Rules
from edgeface.service.config import RecognitionSettings
from edgeface.service.desk import Desk, Hooks, Request
from edgeface.service.lockout import Lockout
from edgeface.service.peers import own_peer
from tests.service.test_attempts import People, sight


class Asker:
    """Keeps its answers, and may hang up."""

    def __init__(self, administers: bool) -> None:
        self.administers, self.peer = administers, own_peer()
        self.gone = False
        self.delivery = None
        self.answers: list[dict[str, Any]] = []

    def reply(self, answer: dict[str, Any], *, last: bool) -> None:
        self.answers.append(answer)


class Door:
    """A desk with a gallery that knows everybody or nobody."""

    def __init__(
        self, match: bool, attempts: int = 2, door_attempts: int = 20, audit: AuditLog | None = None
    ) -> None:
        self.people = cast(Any, People(match))
        self.emitted: list[tuple[str, str, str | None]] = []
        self.now = 0.0
        rules = Rules(attempts=attempts, door_attempts=door_attempts)
        self.lockout = Lockout(rules, lambda: self.now)
        self.desk = Desk(
            self.people,
            self.lockout,
            RecognitionSettings(),
            Profile.CONVENIENCE,
            Hooks(dict, lambda: None, lambda *incident: self.emitted.append(incident)),
            audit,
        )

    def ask(
        self, command: Any, within: float = 60.0, name: str = "ada", administers: bool = True
    ) -> Asker:
        asker = Asker(administers)
        named = None if command in ("reload", "list") else name
        self.desk.submit(Request(command, named, within), asker)
        self.desk.work()
        return asker

    def look(self, times: int, begin: float = 0.0) -> None:
        for step in range(times):
            result = sight(begin + step / 5, 1)
            if not self.people.match:
                result.observations[0].decision = Decision(None, 0.2, 0.5, False)
            self.desk.see(result)
        self.desk.work()


def test_hanging_up_before_the_refusal_does_not_evade_the_lockout() -> None:
    door = Door(match=False)
    for _ in range(2):
        asker = door.ask("verify")
        door.look(5)
        asker.gone = True
        door.desk.work()
    assert door.lockout.left("ada") > 0
    assert [kind for kind, *_ in door.emitted] == ["lockout"]


def test_hanging_up_with_nobody_in_view_counts_for_nothing() -> None:
    door = Door(match=False, attempts=1)
    door.ask("verify").gone = True
    door.desk.work()
    assert door.lockout.longest_left == 0


def test_nobody_is_identified_or_verified_during_the_lockout() -> None:
    door = Door(match=True, attempts=1)
    verifying, identifying = door.ask("verify"), door.ask("identify")
    assert door.lockout.refused()
    door.look(10)
    for asker in (verifying, identifying, door.ask("verify"), door.ask("identify")):
        (answer,) = asker.answers
        assert "locked for" in answer["error"]
    assert not door.desk.busy


def test_the_attempt_that_locks_is_answered_that_it_was_refused() -> None:
    door = Door(match=False, attempts=1)
    asker = door.ask("verify", within=0.2)
    door.look(3)
    while not asker.answers:
        door.desk.work()
    assert asker.answers[0]["match"] is False
    assert door.lockout.left("ada") > 0


def test_an_identification_that_finds_nobody_counts_for_the_door() -> None:
    door = Door(match=False, attempts=2)
    for _ in range(2):
        asker = door.ask("identify", within=0.2)
        door.look(3)
        while not asker.answers:
            door.desk.work()
    assert door.lockout.door_left > 0


def test_one_locked_name_leaves_the_door_to_the_others() -> None:
    door = Door(match=False)
    for _ in range(2):
        asker = door.ask("verify", name="joe")
        door.look(5)
        asker.gone = True
        door.desk.work()
    (answer,) = door.ask("verify", name="joe").answers
    assert "locked for" in answer["error"]
    assert door.ask("verify", name="ada").answers == []  # in progress


def test_another_persons_acceptance_does_not_clear_the_count() -> None:
    door = Door(match=False)
    door.lockout.refused("joe")
    door.people.match = True
    asker = door.ask("verify", name="ada")
    door.look(8)
    assert asker.answers[0]["match"] is True
    assert door.lockout.refused("joe") is not None


def test_enrolling_is_refused_while_the_door_is_locked(tmp_path: Path) -> None:
    door = Door(match=True, attempts=1, audit=AuditLog(tmp_path / "audit.jsonl", 86400))
    assert door.lockout.refused()
    (answer,) = door.ask("enroll").answers
    assert "locked for" in answer["error"]


def test_who_may_only_ask_changes_nothing_and_gets_no_score(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl", 86400)
    door = Door(match=True, audit=log)
    for command in ("enroll", "remove", "reload", "list"):
        (answer,) = door.ask(command, administers=False).answers
        assert "is for administrators" in answer["error"]
    assert not door.desk.busy
    assert door.people.removed == []
    assert door.emitted == []
    records, problems = read_audit(log.path)
    assert [record.outcome for record in records] == ["refused"] * 4
    assert problems == []
    asker = door.ask("verify", administers=False)
    door.look(8)
    assert asker.answers[0]["match"] is True
    assert asker.answers[0]["score"] is asker.answers[0]["threshold"] is None


def test_what_an_administrator_does_is_recorded_and_emitted(tmp_path: Path) -> None:
    door = Door(match=True, audit=AuditLog(tmp_path / "audit.jsonl", 86400))
    (removed,) = door.ask("remove", name="joe ").answers
    assert removed == {"name": "joe", "templates": 1, "people": []}
    door.ask("remove", name="nobody")
    door.ask("reload")
    records, _ = read_audit(tmp_path / "audit.jsonl")
    assert [(r.command, r.name, r.outcome) for r in records] == [
        ("remove", "joe", "done"),
        ("remove", "nobody", "failed"),
        ("reload", None, "done"),
    ]
    assert {r.uid for r in records} == {own_peer().uid}
    assert [(kind, name) for kind, _, name in door.emitted] == [
        ("person_removed", "joe"),
        ("settings_changed", None),
    ]


def test_without_an_audit_log_nothing_is_administered() -> None:
    door = Door(match=True)
    (answer,) = door.ask("remove").answers
    assert "audit log" in answer["error"]
    assert door.people.removed == []


def test_a_person_removed_during_their_attempt_ends_the_attempt_alone() -> None:
    door = Door(match=True)
    asker, other = door.ask("verify", name="ada"), door.ask("identify")
    door.people.gone.add("ada")
    door.look(8)
    assert asker.answers == [{"error": str(UnknownPerson("ada"))}]
    assert other.answers[0]["faces"]
