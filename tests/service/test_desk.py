"""The desk: the lockout holds for everybody, however they ask and however they leave."""

from __future__ import annotations

from typing import Any, cast

from edgeface.liveness import Profile
from edgeface.service.config import LockoutSettings as Rules
from edgeface.service.config import RecognitionSettings
from edgeface.service.desk import Desk, Request
from edgeface.service.lockout import Lockout
from tests.service.test_attempts import People, sight


class Asker:
    """Keeps what it is told, and may hang up."""

    def __init__(self) -> None:
        self.gone = False
        self.told: list[dict[str, Any]] = []

    def tell(self, answer: dict[str, Any], *, last: bool) -> None:
        self.told.append(answer)


class Door:
    """A desk with a gallery that knows everybody or nobody."""

    def __init__(self, match: bool, attempts: int = 2) -> None:
        self.people = cast(Any, People(match))
        self.locked: list[str] = []
        self.lockout = Lockout(Rules(attempts=attempts))
        self.desk = Desk(
            self.people,
            self.lockout,
            RecognitionSettings(),
            Profile.CONVENIENCE,
            dict,
            lambda: None,
            self.locked.append,
        )

    def ask(self, command: Any, within: float = 60.0) -> Asker:
        asker = Asker()
        self.desk.submit(Request(command, "ada", within), asker)
        self.desk.work()
        return asker

    def look(self, times: int, begin: float = 0.0) -> None:
        for step in range(times):
            self.desk.see(sight(begin + step / 5, 1))
        self.desk.work()


def test_hanging_up_before_the_refusal_does_not_evade_the_lockout() -> None:
    door = Door(match=False)
    for _ in range(2):
        asker = door.ask("verify")
        door.look(5)
        asker.gone = True
        door.desk.work()
    assert door.lockout.left > 0
    assert len(door.locked) == 1


def test_hanging_up_with_nobody_in_view_counts_for_nothing() -> None:
    door = Door(match=False, attempts=1)
    door.ask("verify").gone = True
    door.desk.work()
    assert door.lockout.left == 0


def test_nobody_is_identified_or_verified_during_the_lockout() -> None:
    door = Door(match=True, attempts=1)
    verifying, identifying = door.ask("verify"), door.ask("identify")
    assert door.lockout.refused()
    door.look(10)
    for asker in (verifying, identifying, door.ask("verify"), door.ask("identify")):
        (told,) = asker.told
        assert "locked for" in told["error"]
    assert not door.desk.busy


def test_the_attempt_that_locks_is_answered_that_it_was_refused() -> None:
    door = Door(match=False, attempts=1)
    asker = door.ask("verify", within=0.2)
    door.look(3)
    while not asker.told:
        door.desk.work()
    assert asker.told[0]["match"] is False
    assert door.lockout.left > 0
