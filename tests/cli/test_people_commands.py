"""People over time: renamed, merged, with one template less, moved between doors."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edgeface.gallery.change import GalleryChange
from edgeface.gallery.file import read_contents, to_chunks
from edgeface.pipeline.model_file import load_model
from edgeface.verifier import FaceVerifier
from tests.conftest import PORTRAITS, CommandLine
from tests.helpers.galleries import craft

OBAMA, OBAMA2, OBAMA3, BIDEN, COLLINS = (
    PORTRAITS / f"{name}.jpg" for name in ("obama", "obama2", "obama3", "biden", "collins")
)


@pytest.fixture(scope="module")
def embeddings() -> dict[Path, np.ndarray]:
    """What enrolling would keep of each portrait."""
    with FaceVerifier() as verifier:
        return {p: verifier.encode(p) for p in (OBAMA, OBAMA2, OBAMA3, BIDEN, COLLINS)}


Add = Callable[..., None]


@pytest.fixture
def add(edgeface: CommandLine, embeddings: dict[Path, np.ndarray]) -> Add:
    """Adds pictures to a person without asking whether they fit, as `enroll --force` would."""
    model = load_model()

    def add(name: str, *pictures: Path, gallery: Path = edgeface.gallery) -> None:
        with GalleryChange.open(gallery, model) as change:
            change.add(name, [embeddings[picture] for picture in pictures])

    return add


@pytest.fixture
def enrolled(edgeface: CommandLine, add: Add) -> CommandLine:
    """A gallery of obama (two pictures) and biden (one)."""
    add("obama", OBAMA, OBAMA3)
    add("biden", BIDEN)
    return edgeface


def templates(edgeface: CommandLine, *options: str | Path) -> dict[str, int]:
    people = edgeface("list", "--json", *options).json["people"]
    return {person["name"]: person["templates"] for person in people}


def test_a_person_is_renamed_and_nothing_of_them_is_lost(enrolled: CommandLine) -> None:
    before = read_contents(enrolled.gallery)
    done = enrolled("rename", "obama", "Barack", "--json")
    assert done.json == {"name": "Barack", "before": "obama", "templates": 2}
    assert templates(enrolled) == {"Barack": 2, "biden": 1}
    after = read_contents(enrolled.gallery)
    assert np.array_equal(after.templates[:2], before.templates[1:])
    assert np.array_equal(after.days_of(slice(2)), before.days_of(slice(1, 3)))
    for file in enrolled.gallery.parent.glob("gallery.safetensors*"):
        assert b"obama" not in file.read_bytes()


def test_a_name_that_somebody_has_is_not_given_again(enrolled: CommandLine) -> None:
    before = enrolled.gallery.read_bytes()
    taken = enrolled("rename", "obama", "biden")
    assert (taken.status, taken.stderr.count("\n")) == (2, 1)
    assert "edgeface merge 'obama' 'biden'" in taken.stderr
    assert enrolled("rename", "nobody", "x").status == 2
    assert enrolled("rename", "obama", " obama ").status == 2
    assert enrolled.gallery.read_bytes() == before


def test_two_names_of_one_person_are_merged(enrolled: CommandLine, add: Add) -> None:
    add("barack", OBAMA2, OBAMA)
    listed = enrolled("list")
    assert "edgeface merge 'barack' 'obama'" in listed.stderr  # said beforehand, once
    assert listed.stderr.count("\n") == 1
    done = enrolled("merge", "barack", "obama", "--json")
    # obama.jpg was enrolled under both names, and counts once.
    assert done.json == {"name": "obama", "before": "barack", "templates": 3}
    assert templates(enrolled) == {"biden": 1, "obama": 3}
    assert enrolled("list").stderr == ""


def test_different_people_are_merged_by_force_alone(enrolled: CommandLine) -> None:
    before = enrolled.gallery.read_bytes()
    refused = enrolled("merge", "biden", "obama")
    assert (refused.status, refused.stderr.count("\n")) == (2, 1)
    assert "do not look like one person" in refused.stderr
    assert enrolled("merge", "obama", "obama").status == 2
    assert enrolled.gallery.read_bytes() == before
    assert enrolled("merge", "biden", "obama", "--force").status == 0
    assert templates(enrolled) == {"obama": 3}


def test_one_template_is_removed_by_its_number(enrolled: CommandLine, add: Add) -> None:
    add("obama", BIDEN)  # by mistake
    shown = enrolled("list", "obama")
    assert shown.stdout.count("\n") == 4
    (person,) = enrolled("list", "obama", "--json").json["people"]
    assert min(person["alike"]) == person["alike"][2] < 0.3
    assert enrolled("remove", "obama", "--template", "3").status == 0
    assert templates(enrolled) == {"biden": 1, "obama": 2}
    for number in ("0", "3"):
        assert enrolled("remove", "obama", "--template", number).status == 2
    only = enrolled("remove", "biden", "--template", "1")
    assert (only.status, "edgeface remove 'biden'" in only.stderr) == (2, True)


def test_the_same_picture_twice_is_one_template(edgeface: CommandLine, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jpg"
    shutil.copy(OBAMA, copy)
    done = edgeface("enroll", "obama", OBAMA, copy, "--json")
    assert (done.json["templates"], done.json["added"]) == (1, 1)
    (left_out,) = done.json["rejected"]
    assert (left_out["image"], "adds nothing" in left_out["reason"]) == (str(copy), True)
    again = edgeface("enroll", "obama", OBAMA)
    assert (again.status, again.stdout) == (0, "enrolled obama: 0 added, 1 template in all\n")


def test_enrolling_notes_the_day(enrolled: CommandLine) -> None:
    today = datetime.now(UTC).date().isoformat()
    assert f"enrolled {today}" in enrolled("list").stdout
    for person in enrolled("list", "--json").json["people"]:
        assert set(person["added"]) == {today}


def test_a_gallery_from_before_there_were_days_is_kept_as_it_is(
    enrolled: CommandLine, add: Add
) -> None:
    old = replace(read_contents(enrolled.gallery), days=None)
    craft(enrolled.gallery, old)
    assert b"days" not in enrolled.gallery.read_bytes()
    assert "enrolled 2" not in enrolled("list").stdout
    assert enrolled("rename", "obama", "barack").status == 0
    assert b"days" not in enrolled.gallery.read_bytes()
    add("barack", OBAMA2)
    (person,) = enrolled("list", "barack", "--json").json["people"]
    assert [day is None for day in person["added"]] == [True, True, False]
    contents = read_contents(enrolled.gallery)
    assert enrolled.gallery.read_bytes() == b"".join(to_chunks(contents))


def test_an_import_adds_what_is_new_to_people_who_are_the_same(
    enrolled: CommandLine, add: Add, tmp_path: Path
) -> None:
    site, door = tmp_path / "site", tmp_path / "door.safetensors"
    assert enrolled("export", site).status == 0
    add("obama", OBAMA2, OBAMA, gallery=door)
    done = enrolled("import", site, "--gallery", door, "--json")
    assert done.status == 0
    assert (done.json["added"], done.json["updated"]) == (["biden"], ["obama"])
    assert templates(enrolled, "--gallery", door) == {"biden": 1, "obama": 3}
    again = enrolled("import", site, "--gallery", door)
    assert (again.status, again.stdout) == (0, f"imported 2 people from {site}: nothing was new\n")


def test_somebody_else_of_the_same_name_is_not_imported(
    enrolled: CommandLine, add: Add, tmp_path: Path
) -> None:
    site, door = tmp_path / "site", tmp_path / "door.safetensors"
    assert enrolled("export", site).status == 0
    add("obama", COLLINS, gallery=door)
    before = door.read_bytes()
    refused = enrolled("import", site, "--gallery", door)
    assert (refused.status, "looks like another person" in refused.stderr) == (2, True)
    assert door.read_bytes() == before


def test_an_exact_import_ends_with_that_list(
    enrolled: CommandLine, add: Add, tmp_path: Path
) -> None:
    site, door = tmp_path / "site", tmp_path / "door.safetensors"
    assert enrolled("export", site).status == 0
    add("obama", OBAMA2, gallery=door)
    add("susan", COLLINS, gallery=door)
    done = enrolled("import", site, "--exact", "--gallery", door)
    assert done.status == 0
    assert "added biden; updated obama; removed susan" in done.stdout
    wanted, found = read_contents(site), read_contents(door)
    assert (found.names, found.templates.tolist()) == (wanted.names, wanted.templates.tolist())
    for file in tmp_path.glob("door.safetensors*"):
        assert b"susan" not in file.read_bytes()


def test_from_python_people_are_renamed_merged_and_trimmed(enrolled: CommandLine) -> None:
    with FaceVerifier(enrolled.gallery) as verifier:
        verifier.rename("obama", "barack")
        assert verifier.people == {"barack": 2, "biden": 1}
        assert verifier.merge("biden", "barack", force=True) == 3
        assert verifier.remove("barack", template=3) == 1
        assert verifier.people == {"barack": 2}
