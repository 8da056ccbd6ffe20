"""People of a running service: renamed, merged and trimmed by an administrator's request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeface.gallery.change import GalleryChange
from edgeface.gallery.choice import use_model
from edgeface.liveness import Profile
from edgeface.pipeline.model_file import load_model
from edgeface.service.audit import AuditLog, read_audit
from edgeface.service.config import LockoutSettings, RecognitionSettings
from edgeface.service.desk import Desk, Hooks, Request
from edgeface.service.lockout import Lockout
from edgeface.service.peers import own_peer
from edgeface.service.people import People
from tests.service.test_desk import Asker


def unit(*weights: float) -> np.ndarray:
    vector = np.zeros(128, np.float32)
    vector[: len(weights)] = weights
    return vector / np.linalg.norm(vector)


class Service:
    """A desk with the people of a gallery, and what it emits."""

    def __init__(self, folder: Path) -> None:
        self.gallery, self.audit = folder / "gallery.safetensors", folder / "audit.jsonl"
        with GalleryChange.open(self.gallery, load_model()) as change:
            change.add("ada", [unit(1), unit(1, 0.5)])
            change.add("ada l", [unit(1, 0.3)])
            change.add("bob", [unit(0, 0, 1)])
        rules = RecognitionSettings(gallery=str(self.gallery))
        self.people = People(rules)
        self.emitted: list[tuple[Any, ...]] = []
        hooks = Hooks(dict, lambda: None, lambda *incident: self.emitted.append(incident))
        lockout, log = Lockout(LockoutSettings()), AuditLog(self.audit, 86400)
        self.desk = Desk(self.people, lockout, rules, Profile.CONVENIENCE, hooks, log)

    def ask(self, *, administers: bool = True, **request: Any) -> Any:
        asker = Asker(administers)
        self.desk.submit(Request(**request), asker)
        self.desk.work()
        (answer,) = asker.answers
        return answer

    def names(self) -> dict[str, int]:
        return {p["name"]: p["templates"] for p in self.ask(command="list")["people"]}


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def test_an_administrator_renames_merges_and_trims_people(service: Service) -> None:
    noted = {p["name"]: p["note"] for p in service.ask(command="list")["people"]}
    assert noted["bob"] is None
    assert "look alike" in noted["ada"] and "look alike" in noted["ada l"]
    merged = service.ask(command="merge", name="ada l", other=" ada")
    assert merged == {"name": "ada", "before": "ada l", "templates": 3}
    service.ask(command="remove", name="ada", template=2)
    service.ask(command="rename", name="ada", other="Ada")
    assert service.names() == {"Ada": 2, "bob": 1}
    assert service.people.refresh()  # those in view are judged from the beginning
    assert service.people.take_removed() == []  # what the desk did it has reported itself
    me = own_peer().user
    assert service.emitted == [
        ("person_removed", f"merged into ada by {me}", "ada l"),
        ("person_removed", f"renamed to Ada by {me}", "ada"),
        ("person_enrolled", f"renamed from ada by {me}", "Ada"),
    ]
    records, _ = read_audit(service.audit)
    assert [(r.command, r.name, r.detail) for r in records if r.command != "list"] == [
        ("merge", "ada l", "to ada"),
        ("remove", "ada", "template 2"),
        ("rename", "ada", "to Ada"),
    ]


def test_what_cannot_be_changed_is_said_and_changes_nothing(service: Service) -> None:
    before = service.gallery.read_bytes()
    for request, words in (
        ({"command": "rename", "name": "ada"}, "needs another name"),
        ({"command": "rename", "name": "ada", "other": "bob"}, "there is a bob already"),
        ({"command": "merge", "name": "ada", "other": "bob"}, "do not look like one person"),
        ({"command": "remove", "name": "bob", "template": 1}, "this template alone"),
    ):
        assert words in service.ask(**request)["error"]
    refused = service.ask(command="merge", name="ada", other="ada l", administers=False)
    assert "for administrators" in refused["error"]
    assert service.gallery.read_bytes() == before
    assert service.emitted == []


def test_a_chosen_model_is_used_after_a_reload(service: Service) -> None:
    rules = RecognitionSettings(gallery=str(service.gallery))
    assert service.people.uses(rules)
    use_model(service.gallery, "sface")
    assert service.people.refresh()
    assert "edgeface model use sface" in (service.people.problem or "")  # until then
    assert not service.people.uses(rules)
    service.people.use(rules)
    assert service.people.uses(rules)
    assert (service.people.problem, service.names()) == (None, {})
    assert service.people.model_name == "sface-int8.tflite"
    assert not service.people.uses(RecognitionSettings(gallery=rules.gallery, model="facenet"))
