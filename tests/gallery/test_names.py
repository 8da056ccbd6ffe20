"""A name has one form, and names that a person could confuse are reported."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.proofs import gallery as proofs
from edgeface.errors import ConfigError, GalleryError
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.file import DamagedGallery, read_contents
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.names import near_names, person_name, wrong_name
from edgeface.gallery.transfer import import_people
from edgeface.service.config import load_config
from tests.helpers.galleries import craft, renamed

CYRILLIC_ADA = "\u0430d\u0430"


@given(st.text(max_size=12))
def test_a_name_is_made_once_and_for_all(text: str) -> None:
    try:
        name = person_name(text)
    except GalleryError:
        return
    assert person_name(name) == name
    assert wrong_name(f"{name}\n".encode()) is None
    assert unicodedata.is_normalized("NFC", name)


@pytest.mark.parametrize(
    "text", ["", " ", "a\nb", "a\u200db", "\u3164", "\ufe0f\ufe0f", "x" * 201, "\u2028"]
)
def test_what_is_no_name_or_cannot_be_seen_is_refused(text: str) -> None:
    with pytest.raises(GalleryError, match="printable characters"):
        person_name(text)


@pytest.mark.parametrize(
    "name",
    [
        "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",  # Ali-Reza, Persian
        "\u0dc1\u0dca\u200d\u0dbb\u0dd3 \u0dbd\u0d82\u0d9a\u0dcf",  # Sri Lanka, Sinhala
        "\u0d30\u0d3e\u0d1c\u0d28\u0d4d\u200d",  # Rajan, Malayalam: a joiner at the end
        "\u09b0\u200d\u09cd\u09af\u09be\u09ac",  # Bengali, before the virama
    ],
)
def test_joiners_stand_where_a_script_needs_them(name: str, tmp_path: Path) -> None:
    assert person_name(f" {name}\u00a0") == name
    path = tmp_path / "g"
    proofs.enroll(path, name)
    assert [found for found, _ in Gallery.open(path, proofs.MODEL).people] == [name]
    bare = person_name(name.replace("\u200c", "").replace("\u200d", ""))
    assert len(near_names([bare], [person_name(name)])) == 1


@pytest.mark.parametrize(
    "name",
    [
        "\u0639\u200c\u200c\u0644",  # two of them
        "\u200c\u0639\u0644",  # none before it
        "\u0639\u0644\u200d",  # none behind it, and no syllable ended
        "a\u200c\u0644",  # behind a Latin letter
        "\u0639\u200b\u0644",  # another sign that cannot be seen
    ],
)
def test_a_joiner_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(GalleryError, match="printable characters"):
        person_name(name)


@pytest.mark.parametrize("space", ["\u00a0", "\u3000", "\u202f", "\u2009", "\u2003", "\u205f"])
def test_every_kind_of_space_is_an_ordinary_one(space: str) -> None:
    assert person_name(f"{space}\u5c71\u7530{space}\u592a\u90ce") == "\u5c71\u7530 \u592a\u90ce"


@pytest.mark.parametrize("name", ["unknown", " Unknown", "UNKNOWN", "\uff55nknown", "nobody"])
def test_a_reserved_word_is_no_new_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "g"
    proofs.enroll(path, "ada")
    before = path.read_bytes()
    with pytest.raises(GalleryError, match="choose another name"):
        proofs.enroll(path, name)
    with (
        pytest.raises(GalleryError, match="choose another name"),
        GalleryChange.open(path, proofs.MODEL) as change,
    ):
        change.rename(person_name("ada"), person_name(name))
    assert path.read_bytes() == before
    craft(path, renamed(path, person_name(name)))  # of an earlier version: it opens, and can go
    with GalleryChange.open(path, proofs.MODEL) as change:
        change.rename(person_name(name), person_name("ada"))
    assert [found for found, _ in Gallery.open(path, proofs.MODEL).people] == ["ada"]


@pytest.mark.parametrize(
    ("stored", "sentence"),
    [
        (("ada", "ada "), "it holds the name 'ada ', whose one form is 'ada'"),
        (("ada", " bob"), "it holds the name ' bob'"),
        (("ada", "zoe\u0308"), "it holds the name 'zoe\u0308', whose one form is 'zo\u00eb'"),
        (("zo\u00eb", "zoe\u0308"), "whose one form is 'zo\u00eb'"),
        (("ada", "\u3164"), "which cannot be one"),
        (("ada", "a\u200dda"), "which cannot be one"),
    ],
)
def test_a_gallery_with_a_name_in_another_form_is_refused_as_it_is(
    stored: tuple[str, str], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "g"
    for name in ("ada", "bob"):
        proofs.enroll(path, name)
    crafted = craft(path, renamed(path, *stored)).read_bytes()
    with pytest.raises(GalleryError) as caught:
        Gallery.open(path, proofs.MODEL)
    assert sentence in str(caught.value)
    assert not isinstance(caught.value, DamagedGallery)  # made on purpose: nothing is healed
    assert path.read_bytes() == crafted
    with pytest.raises(GalleryError):
        proofs.enroll(path, "cleo")
    assert path.read_bytes() == crafted


def test_another_face_under_the_same_name_is_not_merged_by_an_import(tmp_path: Path) -> None:
    path, file = tmp_path / "g", tmp_path / "people"
    proofs.enroll(path, "ada")
    proofs.enroll(file, "eve")
    craft(file, renamed(file, "ada "))
    before = path.read_bytes()
    for force in (False, True):
        with pytest.raises(GalleryError, match="it holds the name 'ada '"):
            import_people(file, None, path, proofs.MODEL, None, force=force)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("ada", "Ada"),
        ("ada", CYRILLIC_ADA),
        ("zoe", "zo\u00eb"),
        ("Bill", "Bi1l"),
        ("barney", "bamey"),
        ("ada lovelace", "ada  lovelace"),
        ("ada", "a\ufe0fda"),
        ("\u039d\u03af\u03ba\u03bf\u03c2", "\u03bd\u03af\u03ba\u03bf\u03c2"),
        ("ada", "\uff41da"),
    ],
)
def test_names_that_a_person_could_confuse_are_near(name: str, other: str) -> None:
    for one, two in ((name, other), (other, name)):
        (sentence,) = near_names([person_name(one)], [person_name(two), person_name("zed")])
        assert person_name(one) in sentence
        assert person_name(two) in sentence
    (sentence,) = near_names([person_name(name), person_name(other)], [])


def test_other_names_are_not_near(tmp_path: Path) -> None:
    known = [person_name(name) for name in ("ada", "bob", "J\u00fcrgen", "person 2", "\u5f20")]
    assert near_names([person_name("ida"), person_name("person 3"), known[0]], known) == ()


def test_an_import_reports_near_names(tmp_path: Path) -> None:
    path, file = tmp_path / "g", tmp_path / "people"
    proofs.enroll(path, "ada")
    for name in (CYRILLIC_ADA, "bob"):
        proofs.enroll(file, name)
    done = import_people(file, None, path, proofs.MODEL, None, force=False)
    assert done.people == ["bob", CYRILLIC_ADA]
    (warning,) = done.warnings
    assert "U+0430" in warning
    assert len(read_contents(path).counts) == 3


def test_people_of_the_settings_are_compared_in_the_same_form(tmp_path: Path) -> None:
    file = tmp_path / "edgeface.toml"
    file.write_text('[gpio]\npin = 17\npeople = [" ada", "zoe\u0308"]\n')
    gpio = load_config(file).gpio
    assert gpio is not None
    assert gpio.people == ("ada", "zo\u00eb")
    file.write_text('[gpio]\npin = 17\npeople = [""]\n')
    with pytest.raises(ConfigError, match="printable"):
        load_config(file)
