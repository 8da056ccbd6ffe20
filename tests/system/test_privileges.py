"""What root does in another user's folder is done as that user, from before anything is opened."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeface.errors import ConfigError
from edgeface.system import privileges
from edgeface.system.privileges import Owner, become_owner, controller
from tests.conftest import PORTRAITS
from tests.helpers.command import Outcome, start

NOBODY = 65534
as_root = pytest.mark.skipif(
    os.geteuid() != 0,
    reason="only root can become another user; test_root_gives_up_its_rights_in_this_order and "
    "test_storage.py show the parts without it",
)


def world(monkeypatch: pytest.MonkeyPatch, **entries: tuple[int, int]) -> None:
    """What `lstat` says of folders and links (a__b is /a/b), so that any user can own them."""
    known = {name.replace("__", "/"): entry for name, entry in entries.items()}
    known["/"] = folder(0)

    def lstat(path: Path) -> Any:
        uid, mode = known[str(path)]
        return SimpleNamespace(st_uid=uid, st_gid=uid, st_mode=mode)

    monkeypatch.setattr(Path, "lstat", lstat)
    monkeypatch.setattr(os.path, "lexists", lambda path: str(path) in known)


def folder(uid: int, mode: int = 0o755) -> tuple[int, int]:
    return uid, stat.S_IFDIR | mode


def test_the_first_other_owner_on_the_way_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    world(
        monkeypatch,
        **{"__srv": folder(0), "__srv__door": folder(4242), "__srv__door__root": folder(0)},
        **{"__tmp": folder(0, 0o1777), "__tmp__x": folder(4243)},
    )
    assert controller(Path("/srv/g")) is None
    assert controller(Path("/srv/new/folder/g")) is None
    assert controller(Path("/srv/door/g")) == Owner(4242, 4242)
    assert controller(Path("/srv/door/root/g")) == Owner(4242, 4242)
    assert controller(Path("/srv/door/missing/g")) == Owner(4242, 4242)
    assert controller(Path("/tmp/g")) is None  # noqa: S108
    assert controller(Path("/tmp/x/g")) == Owner(4243, 4243)  # noqa: S108


def test_a_link_on_the_way_belongs_to_whoever_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world(monkeypatch, __srv=folder(0), __etc=folder(0), __srv__l=(4242, stat.S_IFLNK | 0o777))
    assert controller(Path("/srv/l/g")) == Owner(4242, 4242)


def test_a_folder_for_everybody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    world(monkeypatch, __srv=folder(0, 0o777))
    with pytest.raises(ConfigError, match="chmod o-w /srv"):
        controller(Path("/srv/g"))


def test_root_gives_up_its_rights_in_this_order(monkeypatch: pytest.MonkeyPatch) -> None:
    world(monkeypatch, __srv=folder(4242))
    calls: list[tuple[Any, ...]] = []
    for name in ("setgroups", "setresgid", "setresuid"):
        monkeypatch.setattr(os, name, lambda *a, name=name: calls.append((name, *a)))
    monkeypatch.setattr(os, "getresuid", lambda: (4242,) * 3)
    monkeypatch.setattr(os, "getresgid", lambda: (4242,) * 3)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert become_owner(Path("/srv/g")) == Owner(4242, 4242)
    assert calls == [
        ("setgroups", [4242]),
        ("setresgid", *(4242,) * 3),
        ("setresuid", *(4242,) * 3),
    ]
    monkeypatch.setattr(os, "getresuid", lambda: (4242, 4242, 0))
    with pytest.raises(ConfigError, match="kept root's rights"):
        become_owner(Path("/srv/g"))


def test_nobody_but_root_has_anything_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    monkeypatch.setattr(privileges, "controller", lambda path: pytest.fail("looked"))
    assert become_owner(Path("/srv/g")) is None


class Owned:
    """A gallery in a folder of the user nobody, used by root."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "owned"
        self.folder.mkdir(0o700)
        os.chown(self.folder, NOBODY, NOBODY)
        self.gallery = self.folder / "gallery.safetensors"
        self.pictures = place / "pictures"
        self.pictures.mkdir(0o755)
        for name in ("obama", "biden"):
            shutil.copy(PORTRAITS / f"{name}.jpg", self.pictures)
        self.secret = place / "root" / "shadow"
        self.secret.parent.mkdir(0o755)
        self.secret.write_text("precious")
        self.secret.chmod(0o600)

    def __call__(self, *arguments: str | Path) -> Outcome:
        environment = {**os.environ, "EDGEFACE_GALLERY": str(self.gallery)}
        return start("edgeface", *arguments, environment=environment)

    def owners(self) -> set[int]:
        return {path.lstat().st_uid for path in self.folder.iterdir()}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="edgeface-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def owned(place: Path) -> Owned:
    return Owned(place)


@as_root
def test_what_root_enrolls_stays_its_owners(owned: Owned) -> None:
    assert owned("enroll", "ada", owned.pictures / "obama.jpg").status == 0
    assert owned("enroll", "joe", owned.pictures / "biden.jpg").status == 0
    assert owned.owners() == {NOBODY}
    assert len(owned("list", "--json").json["people"]) == 2
    assert owned("remove", "joe").status == 0
    assert owned("gallery", "compact").status == 0
    assert owned.owners() == {NOBODY}


@as_root
@pytest.mark.parametrize("suffix", [".lock", ".previous", ".damaged", ""])
@pytest.mark.parametrize("make", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_nothing_of_roots_is_reached_through_the_owners_links(
    owned: Owned, suffix: str, make: Callable[..., None]
) -> None:
    """Before: the lock's target was given to the folder's owner, emptied and overwritten."""
    assert owned("enroll", "ada", owned.pictures / "obama.jpg").status == 0
    before = owned.secret.stat()
    entry = owned.folder / f"gallery.safetensors{suffix}"
    entry.unlink(missing_ok=True)
    make(owned.secret, entry)
    for arguments in (
        ("list",),
        ("enroll", "joe", owned.pictures / "biden.jpg"),
        ("remove", "ada"),
        ("gallery", "compact"),
        ("export", owned.folder / "people"),
    ):
        done = owned(*arguments)
        assert done.stderr.count("\n") <= 1, done.stderr
    after = owned.secret.stat()
    assert owned.secret.read_text() == "precious"
    assert (after.st_uid, after.st_mode) == (before.st_uid, before.st_mode)


@as_root
def test_a_picture_is_decoded_as_the_owner_and_not_as_root(owned: Owned) -> None:
    private = owned.pictures / "private.jpg"
    shutil.copy(PORTRAITS / "obama.jpg", private)
    private.chmod(0o600)
    for command in ("enroll", "verify"):
        done = owned(command, "ada", private)
        assert (done.status, done.stderr.count("\n")) == (2, 1)
        assert f"works as the user nobody, to whom the folder of {owned.gallery}" in done.stderr
        assert f"may not use {private}" in done.stderr
    hidden = owned.secret.parent / "ada.jpg"
    shutil.copy(PORTRAITS / "obama.jpg", hidden)
    hidden.parent.chmod(0o700)
    assert "may not use" in owned("enroll", "ada", hidden).stderr


@as_root
def test_an_export_goes_where_the_owner_may_write(owned: Owned, place: Path) -> None:
    assert owned("enroll", "ada", owned.pictures / "obama.jpg").status == 0
    refused = owned("export", owned.secret.parent / "people")
    assert (refused.status, refused.stderr.count("\n")) == (2, 1)
    assert "in which the user nobody may write" in refused.stderr
    assert owned("export", owned.folder / "people").status == 0
    assert (owned.folder / "people").stat().st_uid == NOBODY


@as_root
def test_a_key_that_root_alone_can_read_is_still_taken(owned: Owned, place: Path) -> None:
    key, other = place / "key", place / "other"
    for path, text in ((key, "ab" * 32), (other, "cd" * 32)):
        path.touch(0o600)
        path.write_text(text)
    assert owned("enroll", "ada", owned.pictures / "obama.jpg").status == 0
    assert owned("gallery", "encrypt", "--key-file", key).status == 0
    assert owned("list", "--key-file", key).status == 0
    done = owned("gallery", "rekey", "--key-file", key, "--new-key-file", other)
    assert done.status == 0, done.stderr
    assert owned("gallery", "verify", "--key-file", other).status == 0
    assert owned.owners() == {NOBODY}


@as_root
def test_the_service_started_by_root_works_as_the_galleries_owner(
    owned: Owned, place: Path
) -> None:
    assert owned("enroll", "ada", owned.pictures / "obama.jpg").status == 0
    settings = place / "edgeface.toml"
    settings.write_text(f'[recognition]\ngallery = "{owned.gallery}"\n')
    settings.chmod(0o644)
    picture = owned.pictures / "obama.jpg"
    picture.chmod(0o600)  # root alone could read it
    arguments = ("run", "--config", settings, "--source", owned.pictures)
    command = [sys.executable, "-m", "edgeface", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    seen = [json.loads(line)["name"] for line in ended.stdout.splitlines()]
    assert "ada" not in seen, ended.stderr
