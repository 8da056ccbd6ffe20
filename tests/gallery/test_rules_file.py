"""The rules' file: kept as the gallery is, and following its people wherever they go."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeface.cli import main
from edgeface.errors import GalleryError
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.names import person_name
from edgeface.gallery.rules import Rules
from edgeface.gallery.rules_file import read_rules, rules_of
from edgeface.gallery.store import exclusively
from edgeface.pipeline.model_file import load_model
from tests.helpers.command import Outcome, call


def unit(*weights: float) -> np.ndarray:
    vector = np.zeros(128, np.float32)
    vector[: len(weights)] = weights
    return vector / np.linalg.norm(vector)


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    path = tmp_path / "people" / "gallery.safetensors"
    with GalleryChange.open(path, load_model()) as change:
        change.add("ada", [unit(1), unit(1, 0.5)])
        change.add("ada l", [unit(1, 0.3)])
        change.add("bob", [unit(0, 0, 1)])
    return path


def edgeface(gallery: Path, *arguments: str) -> Outcome:
    return call(main, *arguments, "--gallery", gallery)


def shown(gallery: Path) -> dict[str, dict[str, Any]]:
    people = edgeface(gallery, "rules", "--json").json["people"]
    return {person.pop("name"): person for person in people}


OFFICE = {"hours": "mon-fri 08:00-18:00", "until": None, "outputs": None}


def test_rules_are_set_shown_changed_one_by_one_and_taken_back(gallery: Path) -> None:
    before = gallery.read_bytes()
    assert "nobody has rules" in edgeface(gallery, "rules").stdout
    assert edgeface(gallery, "rules", "ada").stdout == "ada: no limit\n"
    set_ = edgeface(gallery, "rules", " ada ", "--hours", "Mon-Fri 8:00-18:00", "--json")
    assert set_.json == {"people": [{"name": "ada", **OFFICE}]}
    more = ("--until", "2026-12-31", "--output", "gpio", "--output", "exec")
    assert edgeface(gallery, "rules", "ada", *more).stdout == (
        "ada: mon-fri 08:00-18:00; until 2026-12-31; outputs: exec, gpio\n"
    )
    edgeface(gallery, "rules", "ada", "--until", "any", "--output", "any")
    assert shown(gallery) == {"ada": OFFICE}
    assert gallery.read_bytes() == before  # the gallery's own bytes have nothing of it
    assert stat.S_IMODE(rules_of(gallery).stat().st_mode) == 0o600
    edgeface(gallery, "rules", "ada", "--hours", "any")
    assert shown(gallery) == {}
    assert rules_of(gallery).exists()


def test_what_cannot_be_meant_is_a_sentence_and_changes_nothing(gallery: Path) -> None:
    edgeface(gallery, "rules", "ada", "--hours", "mon-fri 08:00-18:00")
    for wrong in (
        ("ada", "--hours", "all day"),
        ("ada", "--until", "tomorrow"),
        ("ada", "--output", "window"),
        ("zoe", "--hours", "never"),
        ("--hours", "never"),
    ):
        refused = edgeface(gallery, "rules", *wrong)
        assert (refused.status, len(refused.stderr) > 20) == (2, True), wrong
    assert shown(gallery) == {"ada": OFFICE}


def test_rules_go_with_their_person(gallery: Path) -> None:
    edgeface(gallery, "rules", "ada", "--hours", "mon-fri 08:00-18:00")
    edgeface(gallery, "rename", "ada", "Ada")
    assert shown(gallery) == {"Ada": OFFICE}
    edgeface(gallery, "rules", "ada l", "--hours", "fri-sun 12:00-20:00", "--output", "gpio")
    assert edgeface(gallery, "merge", "Ada", "ada l").status == 0
    both = {"hours": "fri 12:00-18:00", "until": None, "outputs": ["gpio"]}
    assert shown(gallery) == {"ada l": both}
    edgeface(gallery, "rules", "bob", "--until", "2026-12-31")
    edgeface(gallery, "remove", "ada l")
    assert list(shown(gallery)) == ["bob"]
    with GalleryChange.open(gallery, load_model()) as change:
        change.add("ada l", [unit(1)])  # somebody new of that name has no rules
    assert list(shown(gallery)) == ["bob"]


def test_a_power_cut_between_the_two_files_leaves_nobody_without_limits(
    gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edgeface(gallery, "rules", "ada", "--hours", "mon-fri 08:00-18:00")

    def cut(*_: object, **__: object) -> None:
        raise GalleryError("the power was cut")

    with monkeypatch.context() as patched:
        patched.setattr("edgeface.gallery.change.commit", cut)
        assert edgeface(gallery, "rename", "ada", "Ada").status == 2
    office = read_rules(gallery)[person_name("ada")]
    assert read_rules(gallery) == {"ada": office, "Ada": office}
    assert "ada: 2 templates" in edgeface(gallery, "list").stdout
    edgeface(gallery, "rename", "ada", "Ada")
    assert read_rules(gallery) == {"Ada": office}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-20],
        lambda data: data.replace(b"18:00", b"19:00"),
        lambda data: data.replace(b'"until":null', b'"until":"x"'),
        lambda data: json.dumps(json.loads(data)).encode(),
        lambda data: b"",
        lambda data: b"{" * 100_000,
    ],
)
def test_damaged_rules_are_an_error_and_never_no_rules(gallery: Path, damage: Any) -> None:
    edgeface(gallery, "rules", "ada", "--hours", "mon-fri 08:00-18:00")
    file = rules_of(gallery)
    file.write_bytes(damage(file.read_bytes()))
    found = file.read_bytes()
    for arguments in (("rules",), ("rules", "bob", "--hours", "never"), ("rename", "ada", "Ada")):
        refused = edgeface(gallery, *arguments)
        assert (refused.status, "are damaged" in refused.stderr) == (2, True), arguments
    assert edgeface(gallery, "list", "--json").json["people"][0]["name"] == "ada"
    assert file.read_bytes() == found
    assert edgeface(gallery, "remove", "bob").status == 0  # who wants to go, goes


def test_a_link_in_place_of_the_rules_is_not_followed(gallery: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"{}")
    rules_of(gallery).symlink_to(elsewhere)
    assert edgeface(gallery, "rules").status == 2
    assert edgeface(gallery, "rules", "ada", "--hours", "never").status == 2
    assert elsewhere.read_bytes() == b"{}"


def test_who_changes_rules_waits_for_who_changes_the_gallery(
    gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeface.gallery.store.LOCK_TIMEOUT", 0.05)
    with exclusively(gallery):
        refused = edgeface(gallery, "rules", "ada", "--hours", "never")
    assert (refused.status, "in use" in refused.stderr) == (2, True)
    assert read_rules(gallery) == {}
    assert Rules().unlimited
