"""Which model a gallery is used with: chosen, kept apart, and never mixed up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeface.errors import ModelError
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.choice import aside_of, choice_of, model_for
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.newest import Newest
from edgeface.gallery.store import previous_of
from edgeface.pipeline.model_file import SHIPPED_MODELS, load_model, model_path
from tests.conftest import PORTRAITS, CommandLine

OBAMA, OBAMA2, BIDEN = (PORTRAITS / f"{name}.jpg" for name in ("obama", "obama2", "biden"))


def add(edgeface: CommandLine, name: str, model: str = "facenet") -> None:
    """Somebody enrolled, without a picture."""
    template = np.random.default_rng(len(name)).normal(size=128).astype(np.float32)
    with GalleryChange.open(edgeface.gallery, load_model(model)) as change:
        change.add(name, [template / np.linalg.norm(template)])


def people(edgeface: CommandLine, *options: str) -> list[str]:
    listed = edgeface("list", "--json", *options)
    assert listed.status == 0, listed.stderr
    return [person["name"] for person in listed.json["people"]]


def test_the_models_are_shown_with_the_one_in_use(edgeface: CommandLine) -> None:
    rows = {row["name"]: row for row in edgeface("models", "--json").json["models"]}
    assert set(rows) == {"facenet", "sface"}
    assert rows["sface"]["licence"] == "Apache-2.0"
    assert rows["sface"]["tar"] > rows["facenet"]["tar"] > 0.9
    assert rows["sface"]["bytes"] == model_path("sface").stat().st_size
    assert [name for name, row in rows.items() if row["in_use"]] == ["facenet"]
    assert edgeface("model", "use", "sface").status == 0
    shown = edgeface("models").stdout.splitlines()
    assert [line.split()[0] for line in shown if line.endswith("in use")] == ["sface"]
    assert [line.split()[0] for line in shown if "default" in line] == ["facenet"]


def test_both_galleries_are_kept_and_each_recognizes_with_its_own_model(
    edgeface: CommandLine,
) -> None:
    assert edgeface("enroll", "obama", OBAMA).status == 0
    by_facenet = edgeface("verify", "obama", OBAMA2, "--json").json
    used = edgeface("model", "use", "sface", "--json").json
    assert (used["model"], used["people"]) == ("sface", 0)
    assert used["aside"] == str(aside_of(edgeface.gallery, "facenet"))
    assert people(edgeface) == []
    assert edgeface("enroll", "Barack", OBAMA).status == 0
    by_sface = edgeface("verify", "Barack", OBAMA2, "--json").json
    assert (by_facenet["match"], by_sface["match"]) == (True, True)
    assert by_facenet["threshold"] != by_sface["threshold"]
    assert edgeface("verify", "Barack", BIDEN).status == 1

    assert edgeface("model", "use", "facenet", "--json").json["people"] == 1
    assert people(edgeface) == ["obama"]
    assert not aside_of(edgeface.gallery, "facenet").exists()
    assert edgeface("verify", "obama", OBAMA2, "--json").json["score"] == by_facenet["score"]
    assert edgeface("model", "use", "sface", "--json").json["people"] == 1
    assert edgeface("model", "use", "sface", "--json").json["aside"] is None


def test_a_gallery_of_another_model_is_refused_with_both_ways_on(edgeface: CommandLine) -> None:
    add(edgeface, "obama")
    before = edgeface.gallery.read_bytes()
    refused = edgeface("verify", "obama", OBAMA2, "--model", "sface")
    assert (refused.status, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "edgeface model use facenet" in refused.stderr
    assert "edgeface model use sface" in refused.stderr
    assert edgeface("enroll", "biden", BIDEN, "--model", "sface").status == 2
    assert edgeface.gallery.read_bytes() == before


def test_a_service_that_knows_the_gallery_takes_the_chosen_models(edgeface: CommandLine) -> None:
    store = edgeface.gallery.parent / "gallery-newest.json"
    add(edgeface, "obama")
    newest = Newest(edgeface.gallery, store)
    newest.note(Gallery.open(edgeface.gallery, load_model("facenet")))
    for name in ("sface", "facenet", "sface"):
        assert edgeface("model", "use", name).status == 0
        add(edgeface, "biden", name)
        chosen = Gallery.open(edgeface.gallery, load_model(name))
        for known in (newest, Newest(edgeface.gallery, store)):
            known.refuse_older(chosen)
        newest.note(chosen)


def test_no_other_models_gallery_takes_the_place_of_a_damaged_one(edgeface: CommandLine) -> None:
    add(edgeface, "obama")
    assert edgeface("model", "use", "sface").status == 0
    edgeface.gallery.write_bytes(b"damaged")
    assert people(edgeface) == []
    assert previous_of(edgeface.gallery).exists()


def test_nothing_is_overwritten_by_a_choice(edgeface: CommandLine) -> None:
    add(edgeface, "obama")
    aside = aside_of(edgeface.gallery, "facenet")
    aside.write_bytes(b"kept")
    before = edgeface.gallery.read_bytes()
    refused = edgeface("model", "use", "sface")
    assert (refused.status, "would be overwritten" in refused.stderr) == (2, True)
    assert (edgeface.gallery.read_bytes(), aside.read_bytes()) == (before, b"kept")
    assert people(edgeface) == ["obama"]


def test_what_an_interrupted_choice_left_aside_is_no_hindrance(edgeface: CommandLine) -> None:
    add(edgeface, "obama")
    aside = aside_of(edgeface.gallery, "facenet")
    aside.write_bytes(edgeface.gallery.read_bytes())  # and then the power went
    add(edgeface, "biden")
    assert edgeface("model", "use", "sface").status == 0
    assert edgeface("model", "use", "facenet", "--json").json["people"] == 2


def test_a_file_of_another_model_under_this_ones_name_is_refused(edgeface: CommandLine) -> None:
    add(edgeface, "obama")
    edgeface.gallery.rename(aside_of(edgeface.gallery, "sface"))
    previous_of(edgeface.gallery).unlink(missing_ok=True)
    refused = edgeface("model", "use", "sface")
    assert (refused.status, "another model than its name says" in refused.stderr) == (2, True)


def test_who_is_removed_may_be_kept_with_another_model(edgeface: CommandLine) -> None:
    add(edgeface, "obama")
    assert "sface" not in edgeface("remove", "obama").stderr
    add(edgeface, "obama")
    assert edgeface("model", "use", "sface").status == 0
    add(edgeface, "obama", "sface")
    removed = edgeface("remove", "obama")
    aside = aside_of(edgeface.gallery, "facenet")
    assert (removed.status, str(aside) in removed.stderr) == (0, True)
    assert edgeface("remove", "obama", "--gallery", aside, "--model", "facenet").status == 0


def test_a_gallery_kept_aside_is_encrypted_on_its_own(
    edgeface: CommandLine, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("0f" * 32)
    key.chmod(0o600)
    add(edgeface, "obama")
    assert edgeface("model", "use", "sface").status == 0
    aside = aside_of(edgeface.gallery, "facenet")
    done = edgeface("gallery", "encrypt", "--key-file", key)
    assert (done.status, f"gallery encrypt --gallery {aside}" in done.stderr) == (0, True)
    assert edgeface("gallery", "encrypt", "--key-file", key, "--gallery", aside).status == 0
    assert edgeface("model", "use", "facenet").status == 2  # without the key
    used = edgeface("model", "use", "facenet", "--key-file", key, "--json")
    assert used.json["people"] == 1
    left = {file.name for file in tmp_path.glob("gallery.safetensors.facenet*")}
    assert left <= {"gallery.safetensors.facenet.lock"}


@pytest.mark.parametrize("name", ["openface", "", "../facenet"])
def test_an_unknown_model_changes_nothing(edgeface: CommandLine, name: str) -> None:
    refused = edgeface("model", "use", name)
    assert (refused.status, "edgeface models" in refused.stderr) == (2, True)
    assert not choice_of(edgeface.gallery).exists()


def test_a_choice_that_cannot_be_read_is_no_choice_of_the_default(tmp_path: Path) -> None:
    path = tmp_path / "gallery"
    assert model_for(path, None) == model_path(None)
    choice_of(path).write_text("facenet-of-tomorrow\n")
    with pytest.raises(ModelError, match="does not have; choose again with: edgeface model use"):
        model_for(path, None)
    choice_of(path).unlink()
    choice_of(path).symlink_to("/etc/hostname")
    with pytest.raises(ModelError, match=r"cannot read .* choose again with"):
        model_for(path, None)
    assert model_for(path, "sface") == model_path("sface")


def test_every_shipped_model_is_the_one_that_is_listed() -> None:
    for one in SHIPPED_MODELS:
        model = load_model(one.name)
        assert (model.sha256, model.shipped) == (one.sha256, one.file)
        assert model.least_length > 5
