"""An encrypted gallery says nothing without its key."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from benchmarks.proofs import gallery as proofs
from edgeface.errors import GalleryError
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.encryption import Passphrase, find_key, read_key
from edgeface.gallery.file import DamagedGallery
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.store import damaged_of, previous_of
from edgeface.gallery.transfer import change_key

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "gallery.safetensors"
    for name in ("Ada Lovelace", "Grace Hopper"):
        proofs.enroll(path, name)
    return path


def runs(data: bytes) -> set[bytes]:
    return {data[at : at + 16] for at in range(len(data) - 15)}


def test_no_name_and_no_run_of_the_plain_file_is_left_on_the_disk(path: Path) -> None:
    plain = path.read_bytes()
    damaged_of(path).write_bytes(plain)
    change_key(path, None, KEY)
    for file in (path, previous_of(path)):
        sealed = file.read_bytes()
        assert b"Ada" not in sealed
        assert b"Hopper" not in sealed
        assert not runs(plain) & runs(sealed)
        assert file.stat().st_mode & 0o777 == 0o600
    assert not damaged_of(path).exists()


def test_every_write_is_sealed_with_a_new_nonce_and_read_with_the_key(path: Path) -> None:
    change_key(path, None, KEY)
    head = b"EDGEFACE-SEALED\x01"  # the same in each; a run that overlaps it may be, by chance
    first = path.read_bytes().removeprefix(head)
    with GalleryChange.open(path, proofs.MODEL, KEY) as change:
        change.add("Alan Turing", list(proofs.templates_of("Alan Turing")))
    assert not runs(first) & runs(path.read_bytes().removeprefix(head))
    names = [name for name, _ in Gallery.open(path, proofs.MODEL, KEY).people]
    assert names == ["Ada Lovelace", "Alan Turing", "Grace Hopper"]
    assert Gallery.open(path, proofs.MODEL, KEY).encrypted


def test_the_wrong_key_or_none_is_refused_and_nothing_touched(path: Path) -> None:
    change_key(path, None, KEY)
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    for key, sentence in ((OTHER, "the key does not open"), (None, "is encrypted; give its key")):
        with pytest.raises(GalleryError, match=sentence):
            Gallery.open(path, proofs.MODEL, key)
        with pytest.raises(GalleryError, match=sentence):
            change_key(path, key, OTHER)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_plain_file_put_in_place_of_a_sealed_one_is_refused(path: Path) -> None:
    with pytest.raises(GalleryError, match="not encrypted, though a key is given"):
        Gallery.open(path, proofs.MODEL, KEY)


def test_flipped_bits_of_a_sealed_gallery_are_healed(path: Path) -> None:
    change_key(path, None, KEY)
    whole, chance = path.read_bytes(), random.Random(1)
    for _ in range(60):
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        opened = Gallery.open(path, proofs.MODEL, KEY)
        assert opened.restored
        assert len(opened) == 2


def test_a_damaged_sealed_gallery_alone_is_refused(path: Path) -> None:
    change_key(path, None, KEY)
    previous_of(path).unlink()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedGallery, match="backup"):
        Gallery.open(path, proofs.MODEL, KEY)


def test_rekey_and_decrypt_leave_nothing_the_old_key_opens(path: Path) -> None:
    plain = Gallery.open(path, proofs.MODEL).people
    change_key(path, None, KEY)
    change_key(path, KEY, OTHER)
    for file in (path, previous_of(path)):
        with pytest.raises(GalleryError, match="does not open"):
            Gallery.open(file, proofs.MODEL, KEY)
        assert Gallery.open(file, proofs.MODEL, OTHER).people == plain
    change_key(path, OTHER, None)
    assert Gallery.open(path, proofs.MODEL).people == plain


def test_a_new_gallery_is_sealed_when_there_is_a_key(tmp_path: Path) -> None:
    with GalleryChange.open(tmp_path / "g", proofs.MODEL, KEY) as change:
        change.add("ada", list(proofs.templates_of("ada")))
    assert Gallery.open(tmp_path / "g", proofs.MODEL, KEY).encrypted


def test_keys_come_from_a_file_the_environment_or_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(name: str, content: bytes) -> Path:
        handle = os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(handle, content)
        os.close(handle)
        return tmp_path / name

    for name in ("EDGEFACE_GALLERY_KEY_FILE", "EDGEFACE_GALLERY_KEY", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    assert find_key() is None
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert find_key() is None
    write("edgeface-gallery-key", KEY)
    assert find_key() == KEY
    monkeypatch.setenv("EDGEFACE_GALLERY_KEY", OTHER.hex())
    assert find_key() == OTHER
    monkeypatch.setenv("EDGEFACE_GALLERY_KEY_FILE", str(write("hex", KEY.hex().encode() + b"\n")))
    assert find_key() == KEY
    assert find_key(write("raw", OTHER)) == OTHER
    with pytest.raises(GalleryError, match="holds no key; it must be 32 bytes or 64 hex"):
        read_key(write("short", b"secret"))
    with pytest.raises(GalleryError, match="cannot read the key file"):
        read_key(tmp_path / "missing")
    monkeypatch.undo()
    (tmp_path / "endless").symlink_to("endless")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "endless"))
    with pytest.raises(GalleryError, match="cannot look for the gallery's key"):
        find_key()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604])
def test_a_key_that_others_can_use_is_refused(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    path.chmod(mode)
    with pytest.raises(GalleryError, match=rf"mode {mode:04o}\); run: chmod 600"):
        find_key(path)


def test_a_credential_has_the_mode_that_systemd_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EDGEFACE_GALLERY_KEY_FILE", "EDGEFACE_GALLERY_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "edgeface-gallery-key").write_bytes(KEY)
    (tmp_path / "edgeface-gallery-key").chmod(0o440)  # a list of access rights shows so
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert find_key() == KEY


def test_a_pipe_is_no_key_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(GalleryError, match=r"no ordinary file|Is a directory"):
            find_key(path)


def key_file(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(content)
    return path


def test_a_passphrase_becomes_a_key_by_argon2_and_is_warned_of(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    phrase = find_key(key_file(tmp_path, "correct horse battery staple\n"))
    assert "a passphrase, which somebody may guess" in caplog.text
    change_key(path, None, phrase)
    sealed = path.read_bytes()
    assert sealed.startswith(b"EDGEFACE-SEALED\x02")
    salt = sealed[16:32]
    derived = Argon2id(salt=salt, length=32, iterations=3, lanes=4, memory_cost=64 * 1024).derive(
        b"correct horse battery staple"
    )
    AESGCM(derived).decrypt(sealed[32:44], sealed[44:-32], sealed[:32])
    assert len(Gallery.open(path, proofs.MODEL, phrase)) == 2
    for wrong in (KEY, Passphrase(b"correct horse battery stapler")):
        with pytest.raises(GalleryError, match="the key does not open"):
            Gallery.open(path, proofs.MODEL, wrong)


def test_a_passphrase_that_was_taken_for_a_key_still_opens_its_gallery(
    path: Path, tmp_path: Path
) -> None:
    text = "thirty-two characters of a text."
    assert len(text) == 32
    change_key(path, None, bytes(text.encode()))  # as the version before did
    assert path.read_bytes().startswith(b"EDGEFACE-SEALED\x01")
    phrase = find_key(key_file(tmp_path, text))
    with GalleryChange.open(path, proofs.MODEL, phrase) as change:
        change.add("Alan Turing", list(proofs.templates_of("Alan Turing")))
    assert path.read_bytes().startswith(b"EDGEFACE-SEALED\x02")
    assert len(Gallery.open(path, proofs.MODEL, phrase)) == 3


@pytest.mark.parametrize("content", ["too short", "ab" * 31, "ab" * 33, "", "a\x00b" * 8])
def test_what_is_neither_a_key_nor_a_passphrase_is_refused(content: str, tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="holds no key"):
        find_key(key_file(tmp_path, content))
