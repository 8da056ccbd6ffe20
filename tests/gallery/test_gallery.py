"""People go in and out of a gallery, and a probe finds the right one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.proofs import gallery as proofs
from edgeface.errors import GalleryError, UnknownPerson
from edgeface.gallery import gallery as gallery_module
from edgeface.gallery import names as names_module
from edgeface.gallery import store
from edgeface.gallery.change import GalleryChange, remove_person
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.names import person_name

NAMES = st.text(st.characters(categories=("L", "M", "N", "P", "S")), min_size=1, max_size=8).filter(
    lambda name: name.translate(names_module._NOTHING)
)
PEOPLE = st.dictionaries(NAMES.map(person_name), st.integers(1, 4), max_size=8)


def rows(count: int, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal((count, proofs.NUMBERS))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@given(PEOPLE, st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_people_come_back_from_the_file_as_they_went_in(
    people: dict[str, int], chance: Random
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gallery.safetensors"
        order = list(people)
        chance.shuffle(order)
        for name in order:
            with GalleryChange.open(path, proofs.MODEL) as change:
                change.add(name, list(rows(people[name], hash(name) % 1000)))
        gone = order[: len(order) // 2]
        for name in gone:
            with GalleryChange.open(path, proofs.MODEL) as change:
                assert change.remove(person_name(name)) == people[name]
        opened = Gallery.open(path, proofs.MODEL)
        left = {name: people[name] for name in order if name not in gone}
        assert dict(opened.people) == left
        for name, count in left.items():
            expected = rows(count, hash(name) % 1000)
            np.testing.assert_allclose(opened.templates(name), expected, atol=0.01)
            assert opened.search(expected[0])[0].score > 0.4


def test_the_order_of_enrolling_leaves_no_trace(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path, names in ((one, "abc"), (other, "cab")):
        for name in names:
            proofs.enroll(path, name)
    assert one.read_bytes() == other.read_bytes()


def test_a_score_is_the_mean_of_the_nearest_template_and_the_centre(tmp_path: Path) -> None:
    templates, probe = rows(3), rows(1, seed=9)[0]
    with GalleryChange.open(tmp_path / "g", proofs.MODEL) as change:
        change.add("ada", list(templates))
        change.add("bob", [rows(1, seed=4)[0]])
    gallery = change.gallery
    cosines = templates @ probe
    centre = templates.sum(axis=0)
    expected = (cosines.max() + centre @ probe / np.linalg.norm(centre)) / 2
    compared = gallery.compare("ada", probe)
    assert compared.score == pytest.approx(expected, abs=0.01)
    searched = {match.name: match.score for match in gallery.search(probe, most=5)}
    assert searched[person_name("ada")] == pytest.approx(compared.score, abs=1e-6)
    assert gallery.compare("bob", rows(1, seed=4)[0]).score == pytest.approx(1, abs=0.002)


def test_search_gives_the_best_first_and_no_more_than_there_are(tmp_path: Path) -> None:
    with GalleryChange.open(tmp_path / "g", proofs.MODEL) as change:
        change.add_people({f"p{i}": rows(1 + i % 3, seed=i) for i in range(50)})
    gallery = change.gallery
    found = gallery.search(rows(1, seed=17)[0], most=100)
    assert [match.score for match in found] == sorted((m.score for m in found), reverse=True)
    assert len({match.name for match in found}) == 50
    assert gallery.search(rows(1, seed=17)[0], most=1) == found[:1]


def test_an_empty_gallery_finds_nobody_and_leaves_no_file(tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path / "g", proofs.MODEL)
    assert gallery.search(rows(1)[0]) == []
    assert gallery.people == []
    assert list(tmp_path.iterdir()) == []


def test_opposite_templates_do_not_break_the_score(tmp_path: Path) -> None:
    row = rows(1)[0]
    with GalleryChange.open(tmp_path / "g", proofs.MODEL) as change:
        change.add("ada", [row, -row])
    assert change.gallery.search(row)[0].score == pytest.approx(0.5, abs=0.01)
    assert Gallery.open(tmp_path / "g", proofs.MODEL).people == [("ada", 2)]


def test_an_open_gallery_knows_when_another_process_changed_it(tmp_path: Path) -> None:
    path = tmp_path / "g"
    proofs.enroll(path, "ada")
    opened = Gallery.open(path, proofs.MODEL)
    assert not opened.outdated
    proofs.enroll(path, "bob")
    assert opened.outdated
    assert opened.search(proofs.templates_of("ada")[0])[0].name == "ada"  # still whole


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201, "\udc80", "a\u2028b"])
def test_what_cannot_be_a_name_is_refused(name: str, tmp_path: Path) -> None:
    with (
        pytest.raises(GalleryError, match="printable"),
        GalleryChange.open(tmp_path / "g", proofs.MODEL) as change,
    ):
        change.add(name, list(rows(1)))
    assert not (tmp_path / "g").exists()


def test_an_unknown_person_is_named_with_those_who_are_known(tmp_path: Path) -> None:
    proofs.enroll(tmp_path / "g", "ada")
    gallery = Gallery.open(tmp_path / "g", proofs.MODEL)
    with pytest.raises(UnknownPerson, match=r"bob is not enrolled .*ada"):
        gallery.compare("bob", rows(1)[0])


def test_a_change_while_it_is_read_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody is removed between the reading and the first look: they must not stay."""
    path = tmp_path / "gallery.safetensors"
    with GalleryChange.open(path, proofs.MODEL) as change:
        change.add_people({"ada": rows(1), "bob": rows(1, 1)})
    real = store.load

    def load_and_lose(*arguments: Any) -> Any:
        loaded = real(*arguments)
        with GalleryChange.open(path, proofs.MODEL) as other:
            other.remove(person_name("ada"))
        return loaded

    monkeypatch.setattr(gallery_module, "load", load_and_lose)
    assert Gallery.open(path, proofs.MODEL).outdated


def test_a_gallery_that_is_read_cannot_be_changed(tmp_path: Path) -> None:
    """A change that writes nothing would leave the person accepted everywhere else."""
    proofs.enroll(tmp_path / "g", "ada")
    with GalleryChange.open(tmp_path / "g", proofs.MODEL) as change:
        change.add("ada", list(rows(1)))
    for gallery in (Gallery.open(tmp_path / "g", proofs.MODEL), change.gallery):
        for method in ("add", "add_people", "remove", "keep_templates"):
            assert not hasattr(gallery, method)


def test_a_change_shows_the_gallery_as_it_will_be_and_then_is(tmp_path: Path) -> None:
    path = tmp_path / "g"
    proofs.enroll(path, "ada")
    with GalleryChange.open(path, proofs.MODEL) as change:
        earlier = change.gallery
        change.remove(person_name("ada"))
        assert "ada" not in change.gallery
        assert "ada" in earlier
        assert "ada" in Gallery.open(path, proofs.MODEL)  # the file has it until the block ends
    assert change.gallery.people == Gallery.open(path, proofs.MODEL).people == []
    assert not change.gallery.outdated
    assert change.gallery.generation == earlier.generation + 1


def test_nobody_is_removed_who_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownPerson):
        remove_person(tmp_path / "new" / "g", proofs.MODEL, None, person_name("ada"))
    assert list(tmp_path.iterdir()) == []


def test_two_names_that_are_one_add_nobody(tmp_path: Path) -> None:
    with (
        pytest.raises(GalleryError, match="two of the names are one"),
        GalleryChange.open(tmp_path / "g", proofs.MODEL) as change,
    ):
        change.add_people({"ada": rows(1), "ada ": rows(1, 1)})
    assert not (tmp_path / "g").exists()
