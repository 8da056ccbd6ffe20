"""A door takes what its hub signed for it, and nothing else: by packages that are real in all but
the faces."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgeface.errors import GalleryError
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.gallery import Gallery
from edgeface.hub.door import Door
from edgeface.hub.memory import Memory, memory_file, recall, remember
from edgeface.hub.package import MAGIC, Package, Person, person, sign, verify
from edgeface.pipeline.model_file import load_model
from tests.conftest import CommandLine

pytest.importorskip("cryptography")
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HUB = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = HUB.public_key().public_bytes_raw()
NOW = 1_800_000_000
MODEL = load_model()
NUMBERS = MODEL.description.embedding.size


def somebody(name: str, seed: int, templates: int = 2) -> Person:
    rows = np.random.default_rng(seed).normal(size=(templates, NUMBERS)).astype(np.float32)
    return person(name, rows / np.linalg.norm(rows, axis=1, keepdims=True), (20_000,) * templates)


ADA, BOB, CYD = (somebody(name, seed) for seed, name in enumerate(("Ada", "Bob", "Cyd")))


def package(base: int, generation: int, *people: Person, **other: object) -> Package:
    usual = {"door": "front", "model": MODEL.identity, "numbers": NUMBERS, "made": NOW}
    fields = {**usual, "expires": NOW + 86400, **other}
    return Package(base=base, generation=generation, people=people, **fields)  # type: ignore[arg-type]


@pytest.fixture
def door(tmp_path: Path) -> Door:
    found = Door(tmp_path / "gallery.safetensors", MODEL)
    found.join("front", PUBLIC.hex())
    return found


def take(door: Door, one: Package) -> int:
    return door.apply(sign(one, HUB), NOW).generation


def enroll(door: Door, name: str) -> None:
    with GalleryChange.open(door.gallery, MODEL, door.key) as change:
        change.add_people({name: np.eye(1, NUMBERS, dtype=np.float32)})


def people(door: Door) -> list[str]:
    return [name for name, _ in Gallery.open(door.gallery, MODEL, door.key).people]


def test_a_snapshot_leaves_exactly_its_people_and_changes_follow(door: Door) -> None:
    assert take(door, package(0, 3, ADA, BOB)) == 3
    assert people(door) == ["Ada", "Bob"]
    assert take(door, package(3, 4, CYD, removed=("Ada",))) == 4
    assert people(door) == ["Bob", "Cyd"]
    assert take(door, package(0, 5, ADA)) == 5
    assert people(door) == ["Ada"]
    held = Gallery.open(door.gallery, MODEL)
    assert held.contents.templates.tobytes() == ADA.rows
    assert held.days("Ada").tolist() == [20_000, 20_000]


def test_other_templates_of_a_person_replace_the_old_ones(door: Door) -> None:
    take(door, package(0, 1, ADA))
    take(door, package(1, 2, somebody("Ada", 9, templates=3)))
    assert Gallery.open(door.gallery, MODEL).people == [("Ada", 3)]


def test_who_was_removed_is_not_in_the_last_generation_either(door: Door) -> None:
    take(door, package(0, 1, ADA, BOB))
    take(door, package(1, 2, removed=("Ada",)))
    door.gallery.write_bytes(b"damaged")
    assert people(door) == ["Bob"]


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "forged": (
        lambda: sign(package(0, 9, CYD), Ed25519PrivateKey.from_private_bytes(bytes(32))),
        "not signed by this door's hub",
    ),
    "for another door": (lambda: sign(package(0, 9, CYD, door="back"), HUB), "for the door 'back'"),
    "of another model": (lambda: sign(package(0, 9, CYD, model="0" * 64), HUB), "the hub's model"),
    "expired": (lambda: sign(package(0, 9, CYD, expires=NOW - 1), HUB), "has expired"),
    "replayed": (lambda: sign(package(0, 4, CYD), HUB), "is older"),
    "a replayed change": (lambda: sign(package(3, 4, CYD), HUB), "is older"),
    "from a later state": (lambda: sign(package(6, 9, CYD), HUB), "get a snapshot"),
    "with a name twice": (lambda: sign(package(5, 9, CYD, removed=("Cyd",)), HUB), "twice"),
    "backwards": (lambda: sign(package(5, 5, CYD), HUB), "out of order"),
    "with half a template": (
        lambda: sign(package(0, 9, msgspec.structs.replace(CYD, rows=CYD.rows[:-1])), HUB),
        "not whole",
    ),
    "with an empty template": (
        lambda: sign(package(0, 9, msgspec.structs.replace(CYD, rows=bytes(2 * NUMBERS))), HUB),
        "not in its one form",
    ),
    "with an impossible name": (lambda: sign(package(0, 9, somebody(" ", 3)), HUB), "name must be"),
    "nothing": (lambda: b"", "no package"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_changes_nothing(door: Door, kind: str) -> None:
    take(door, package(0, 5, ADA, BOB))
    before, state = door.gallery.read_bytes(), recall(door.gallery, None)
    make, reason = REFUSED[kind]
    with pytest.raises(GalleryError, match=reason):
        door.apply(make(), NOW)
    assert (door.gallery.read_bytes(), recall(door.gallery, None)) == (before, state)


def test_any_changed_bit_and_any_missing_end_is_noticed() -> None:
    data = sign(package(0, 9, ADA), HUB)
    assert verify(data, PUBLIC).people == (ADA,)
    draw = random.Random(21)
    for _ in range(300):
        place = draw.randrange(len(data))
        changed = bytearray(data)
        changed[place] ^= 1 << draw.randrange(8)
        for wrong in (bytes(changed), data[:place], data + bytes(1)):
            with pytest.raises(GalleryError):
                verify(wrong, PUBLIC)
    assert data.startswith(MAGIC)


@pytest.mark.parametrize("place", [1, 2])
def test_after_a_crash_the_door_still_knows_whom_the_hub_sent(
    door: Door, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """It dies before the gallery is written, or before the generation is."""
    take(door, package(0, 1, ADA, BOB))
    change = package(1, 2, CYD, removed=("Ada",))
    written = []

    def dies(gallery: Path, key: bytes | None, memory: Memory) -> None:
        written.append(memory)
        if len(written) == place:
            raise KeyboardInterrupt
        remember(gallery, key, memory)

    with monkeypatch.context() as killed:
        killed.setattr("edgeface.hub.door.remember", dies)
        with pytest.raises(KeyboardInterrupt):
            take(door, change)
    assert people(door) == (["Ada", "Bob"] if place == 1 else ["Bob", "Cyd"])
    assert recall(door.gallery, None).generation == 1
    assert door.base() == (1 if place == 1 else 0)
    take(door, change)
    assert people(door) == ["Bob", "Cyd"]
    assert (door.base(), door.own()) == (2, [])


def test_who_came_before_a_crash_and_is_gone_since_is_removed(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(door, package(0, 1, ADA))
    with monkeypatch.context() as killed:
        number = iter(range(9))

        def dies(gallery: Path, key: bytes | None, memory: Memory) -> None:
            if next(number):
                raise KeyboardInterrupt
            remember(gallery, key, memory)

        killed.setattr("edgeface.hub.door.remember", dies)
        with pytest.raises(KeyboardInterrupt):
            take(door, package(1, 2, CYD))
    assert people(door) == ["Ada", "Cyd"]
    take(door, package(0, 3, ADA))
    assert people(door) == ["Ada"]


def test_who_was_enrolled_at_the_door_is_never_removed_by_the_hub(door: Door) -> None:
    take(door, package(0, 1, ADA))
    enroll(door, "Eve")
    assert door.own() == ["Eve"]
    assert take(door, package(1, 2, BOB, removed=("Ada",))) == 2
    assert take(door, package(0, 3, CYD)) == 3
    assert people(door) == ["Cyd", "Eve"]
    with pytest.raises(GalleryError, match="another Eve was enrolled"):
        take(door, package(0, 4, CYD, somebody("Eve", 5)))
    assert people(door) == ["Cyd", "Eve"]


def test_changes_are_not_added_to_what_the_hub_did_not_send(door: Door) -> None:
    take(door, package(0, 1, ADA))
    enroll(door, "Ada")
    with pytest.raises(GalleryError, match=r"Ada differs.*get a snapshot"):
        take(door, package(1, 2, BOB))
    assert door.base() == 0
    assert take(door, package(0, 1, ADA)) == 1
    assert Gallery.open(door.gallery, MODEL).people == [("Ada", 2)]


def test_a_memory_that_cannot_be_read_is_not_taken_for_none(door: Door) -> None:
    take(door, package(0, 5, BOB))
    memory_file(door.gallery).write_text("{")
    with pytest.raises(GalleryError, match="stays as it is"):
        take(door, package(0, 1, ADA))
    assert people(door) == ["Bob"]


def test_a_door_of_an_encrypted_gallery_keeps_no_name_in_clear(
    door: Door, edgeface: CommandLine, tmp_path: Path
) -> None:
    take(door, package(0, 1, ADA))
    keys = [tmp_path / "first", tmp_path / "second"]
    for number, file in enumerate(keys):
        file.write_bytes(bytes([number]) * 32)
        file.chmod(0o600)
    assert b"Ada" in memory_file(door.gallery).read_bytes()
    assert edgeface("gallery", "encrypt", "--key-file", keys[0]).status == 0
    assert b"Ada" not in memory_file(door.gallery).read_bytes()
    rekey = edgeface("gallery", "rekey", "--key-file", keys[0], "--new-key-file", keys[1])
    assert rekey.status == 0
    sealed = Door(door.gallery, MODEL, bytes([1]) * 32)
    assert take(sealed, package(1, 2, BOB)) == 2
    assert people(sealed) == ["Ada", "Bob"]
    assert b"Bob" not in memory_file(door.gallery).read_bytes()


def test_a_stick_is_applied_by_the_command_and_a_wrong_one_refused_in_a_sentence(
    edgeface: CommandLine, tmp_path: Path
) -> None:
    stick = tmp_path / "front.edgeface"
    later = int(time.time()) + 86400
    stick.write_bytes(sign(package(0, 3, ADA, BOB, expires=later), HUB))
    early = edgeface("door", "apply", stick)
    assert (early.status, "edgeface door join" in early.stderr) == (2, True)
    assert edgeface("door", "join", "front", PUBLIC.hex()).status == 0
    assert edgeface("door", "join", "back", PUBLIC.hex()).status == 2
    assert edgeface("door", "join", "front", "12").status == 2
    applied = edgeface("door", "apply", stick, "--json").json
    assert (applied["generation"], applied["people"], applied["own"]) == (3, 2, [])
    listed = edgeface("list").stdout
    older = package(0, 2, CYD, expires=later)
    wrong = {
        "older": sign(older, HUB),
        "not signed": sign(older, Ed25519PrivateKey.from_private_bytes(bytes(32))),
        "for the door 'back'": sign(package(0, 9, CYD, door="back", expires=later), HUB),
        "for the model": sign(package(0, 9, CYD, model="0" * 64, expires=later), HUB),
        "no package": b"something else",
        "or a part of one": stick.read_bytes()[:50],
    }
    for reason, data in wrong.items():
        stick.write_bytes(data)
        refused = edgeface("door", "apply", stick)
        assert (refused.status, refused.stderr.count("\n")) == (2, 1)
        assert reason in refused.stderr
    assert edgeface("door", "apply", tmp_path / "nothing").status == 2
    assert edgeface("list").stdout == listed
    assert edgeface("door", "status", "--json").json == applied


def test_two_thousand_people_are_below_1_mb_and_a_change_of_one_below_2_kb(door: Door) -> None:
    crowd = [somebody(f"Person Number {number}", number, 3) for number in range(2_000)]
    data = sign(package(0, 1, *crowd), HUB)
    assert len(data) < 1_000_000
    assert len(sign(package(1, 2, somebody("Somebody New", 1, 5)), HUB)) < 2_000
    door.apply(data, NOW)
    assert take(door, package(0, 2, *crowd[::2])) == 2
    assert len(people(door)) == 1_000
