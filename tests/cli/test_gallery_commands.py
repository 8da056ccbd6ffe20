"""The commands that maintain the gallery, in separate processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import PORTRAITS, CommandLine
from tests.helpers.galleries import craft, renamed, scaled

OBAMA, OBAMA2, OBAMA3, BIDEN, COLLINS = (
    PORTRAITS / f"{name}.jpg" for name in ("obama", "obama2", "obama3", "biden", "collins")
)


@pytest.fixture
def enrolled(edgeface: CommandLine) -> CommandLine:
    assert edgeface("enroll", "obama", OBAMA, OBAMA3).status == 0
    assert edgeface("enroll", "biden", BIDEN).status == 0
    return edgeface


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text("ab" * 32)
    return path


def test_list_says_how_people_hold_together(enrolled: CommandLine) -> None:
    biden, obama = enrolled("list", "--json").json["people"]
    assert (biden["name"], biden["templates"], biden["consistency"]) == ("biden", 1, None)
    assert (obama["name"], obama["templates"], obama["nearest"]) == ("obama", 2, "biden")
    assert obama["consistency"] > 0.5 > obama["nearest_score"] == biden["nearest_score"]
    assert "obama: 2 templates, 0." in enrolled("list").stdout


def test_a_picture_of_somebody_else_is_left_out(edgeface: CommandLine) -> None:
    done = edgeface("enroll", "obama", OBAMA, BIDEN, OBAMA2, "--json")
    assert (done.status, done.json["templates"]) == (0, 2)
    (refused,) = done.json["rejected"]
    assert refused["image"] == str(BIDEN)
    assert refused["reason"] == "picture 2 does not look like the other two"


def test_a_person_enrolled_already_needs_force(enrolled: CommandLine) -> None:
    before = enrolled.gallery.read_bytes()
    again = enrolled("enroll", "barack", OBAMA2)
    assert again.status == 2
    assert "looks like obama, already enrolled, 0." in again.stderr
    assert "--force" in again.stderr
    assert enrolled.gallery.read_bytes() == before
    forced = enrolled("enroll", "barack", OBAMA2, "--force", "--json")
    assert (forced.status, len(forced.json["warnings"])) == (0, 1)
    both = enrolled("identify", OBAMA2, "--json").json["faces"][0]
    assert both["name"] in ("barack", None)


def test_export_and_import_move_people(enrolled: CommandLine, tmp_path: Path) -> None:
    file, other = tmp_path / "people.safetensors", tmp_path / "other.safetensors"
    assert enrolled("export", file, "obama", "--json").json["people"] == ["obama"]
    assert enrolled("export", file).status == 2  # it exists
    assert enrolled("export", tmp_path / "x", "nobody").status == 2
    moved = enrolled("import", file, "--gallery", other, "--json")
    assert (moved.status, moved.json["people"]) == (0, ["obama"])
    assert enrolled("verify", "obama", OBAMA2, "--gallery", other).status == 0
    again = enrolled("import", file, "--gallery", other, "--json")
    assert (again.status, again.json["added"], again.json["updated"]) == (0, [], [])
    people = enrolled("list", "--gallery", other, "--json").json["people"]
    assert [person["templates"] for person in people] == [2]
    assert enrolled("gallery", "compact", "--gallery", other, "--json").json == {"dropped": 0}


def test_verify_reports_and_changes_nothing(enrolled: CommandLine) -> None:
    good = enrolled("gallery", "verify", "--json")
    assert (good.status, good.json["ok"], good.json["problems"]) == (0, True, [])
    assert (good.json["people"], good.json["templates"]) == (2, 3)
    enrolled.gallery.chmod(0o644)
    previous = enrolled.gallery.with_name("gallery.safetensors.previous")
    previous.unlink()
    bad = enrolled("gallery", "verify")
    assert bad.status == 1
    assert "chmod 600" in bad.stdout
    assert "earlier generation" in bad.stdout
    enrolled.gallery.write_bytes(b"damaged")
    assert enrolled("gallery", "verify").status == 2
    assert enrolled.gallery.read_bytes() == b"damaged"


def test_damage_is_healed_with_a_loud_word(enrolled: CommandLine) -> None:
    data = bytearray(enrolled.gallery.read_bytes())
    data[len(data) // 2] ^= 4
    enrolled.gallery.write_bytes(data)
    shown = enrolled("verify", "obama", OBAMA2)
    assert (shown.status, shown.stdout) == (2, "")  # no decision on people nobody has looked at
    assert "damaged" in shown.stderr
    assert "took its place" in shown.stderr
    again = enrolled("verify", "obama", OBAMA2)
    assert (again.status, again.stderr) == (0, "")


def test_an_encrypted_gallery_opens_with_its_key_alone(
    enrolled: CommandLine, key: Path, tmp_path: Path
) -> None:
    assert enrolled("gallery", "encrypt").status == 2  # no key
    assert enrolled("gallery", "encrypt", "--key-file", key).status == 0
    assert b"obama" not in enrolled.gallery.read_bytes()
    assert enrolled("verify", "obama", OBAMA2, "--key-file", key).status == 0
    without = enrolled("verify", "obama", OBAMA2)
    assert (without.status, "is encrypted" in without.stderr) == (2, True)
    other = tmp_path / "other-key"
    other.touch(0o600)
    other.write_text("cd" * 32)
    wrong = enrolled("gallery", "rekey", "--key-file", other, "--new-key-file", key)
    assert (wrong.status, wrong.stderr.count("\n")) == (2, 1)
    assert enrolled("gallery", "encrypt", "--key-file", key).status == 2  # it is already
    file = tmp_path / "sealed"
    assert enrolled("export", file, "--key-file", key).status == 0
    assert b"obama" not in file.read_bytes()
    assert enrolled("gallery", "rekey", "--key-file", key, "--new-key-file", other).status == 0
    assert enrolled("gallery", "decrypt", "--key-file", other).status == 0
    assert enrolled("import", file, "--from-key-file", key, "--force").status == 0
    assert enrolled("gallery", "decrypt").status == 2


def test_a_near_name_is_reported_by_enroll_and_by_import(
    enrolled: CommandLine, tmp_path: Path
) -> None:
    done = enrolled("enroll", "Biden", COLLINS, "--json")
    assert done.status == 0
    assert "Biden is easily taken for biden" in " ".join(done.json["warnings"])
    file, other = tmp_path / "people", tmp_path / "other.safetensors"
    assert enrolled("export", file, "Biden").status == 0
    assert enrolled("enroll", "biden", BIDEN, "--gallery", other).status == 0
    moved = enrolled("import", file, "--gallery", other, "--json")
    (warning,) = moved.json["warnings"]
    assert "Biden is easily taken for biden" in warning
    assert enrolled("remove", "Biden", "--gallery", other).status == 0
    assert "note: the name Biden" in enrolled("import", file, "--gallery", other).stderr


def test_names_are_cleaned_at_every_command(enrolled: CommandLine, tmp_path: Path) -> None:
    assert enrolled("verify", " obama ", OBAMA2, "--json").json["name"] == "obama"
    assert enrolled("export", tmp_path / "people", " obama").status == 0
    assert enrolled("remove", "obama ", "--json").json["name"] == "obama"


def test_a_people_file_with_a_name_in_another_form_is_refused(
    enrolled: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "people"
    assert enrolled("export", file, "biden").status == 0
    craft(file, renamed(file, "obama "))
    before = enrolled.gallery.read_bytes()
    for force in ([], ["--force"]):
        refused = enrolled("import", file, *force)
        assert (refused.status, refused.stderr.count("\n")) == (2, 1)
        assert "it holds the name 'obama '" in refused.stderr
    assert enrolled.gallery.read_bytes() == before


def names(edgeface: CommandLine, *options: str | Path) -> list[str]:
    return [person["name"] for person in edgeface("list", "--json", *options).json["people"]]


def test_a_backup_is_restored_in_place(enrolled: CommandLine, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backup.write_bytes(enrolled.gallery.read_bytes())
    before = enrolled("gallery", "verify", "--json").json["generation"]
    assert enrolled("remove", "obama").status == 0
    done = enrolled("gallery", "restore", backup, "--json")
    assert (done.status, done.json["people"]) == (0, 2)
    assert done.json["generation"] > before + 1
    assert names(enrolled) == ["biden", "obama"]
    assert enrolled("gallery", "restore", "previous").status == 0  # and back again
    assert names(enrolled) == ["biden"]
    assert enrolled("gallery", "verify").status == 0


def test_a_damaged_gallery_is_put_aside_by_a_restore(enrolled: CommandLine, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backup.write_bytes(enrolled.gallery.read_bytes())
    for file in tmp_path.glob("gallery.safetensors*"):
        file.write_bytes(b"damaged")
    assert enrolled("list").status == 2
    assert enrolled("gallery", "restore", backup).status == 0
    assert names(enrolled) == ["biden", "obama"]
    assert (tmp_path / "gallery.safetensors.damaged").read_bytes() == b"damaged"


def test_what_cannot_be_the_gallery_is_not_restored(
    enrolled: CommandLine, key: Path, tmp_path: Path
) -> None:
    before = enrolled.gallery.read_bytes()
    noise, crafted, sealed = tmp_path / "noise", tmp_path / "crafted", tmp_path / "sealed"
    noise.write_bytes(b"noise" * 50)
    craft(crafted, scaled(enrolled.gallery, 2))
    assert enrolled("export", sealed).status == 0
    assert enrolled("gallery", "encrypt", "--gallery", sealed, "--key-file", key).status == 0
    for file in (noise, crafted, sealed, tmp_path / "missing", tmp_path):
        refused = enrolled("gallery", "restore", file)
        assert (refused.status, refused.stdout) == (2, "")
    assert enrolled.gallery.read_bytes() == before
    assert enrolled("gallery", "restore", sealed, "--from-key-file", key).status == 0
    assert names(enrolled) == ["biden", "obama"]
