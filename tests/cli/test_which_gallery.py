"""A command says which gallery it means where one may think of another."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeface.cli import main
from tests.conftest import PORTRAITS
from tests.helpers.command import call


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """That of a user with a home, on a machine where a service listens."""
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        kept = {key: value for key, value in os.environ.items() if key != "EDGEFACE_GALLERY"}
        kept |= {"EDGEFACE_SOCKET": str(path), "HOME": str(tmp_path)}
        kept.pop("XDG_DATA_HOME", None)
        yield kept


def test_a_command_beside_the_service_says_which_gallery_it_means(
    environment: dict[str, str], tmp_path: Path
) -> None:
    own = tmp_path / ".local/share/edgeface/gallery.safetensors"
    for arguments, instead in (
        (("enroll", "ada", PORTRAITS / "obama.jpg"), "edgeface enroll NAME --live"),
        (("list",), "edgeface list --service"),
        (("remove", "ada"), "edgeface remove NAME --service"),
    ):
        done = call(main, *arguments, environment=environment)
        assert done.status == 0
        assert f"note: this is your own gallery {own}, which the service" in done.stderr
        assert instead in done.stderr


def test_there_is_no_note_where_the_gallery_was_chosen_or_no_service_is(
    environment: dict[str, str], tmp_path: Path
) -> None:
    chosen = call(main, "list", "--gallery", tmp_path / "g", environment=environment)
    assert "your own gallery" not in chosen.stderr
    named = {**environment, "EDGEFACE_GALLERY": str(tmp_path / "g")}
    assert "your own gallery" not in call(main, "list", environment=named).stderr
    Path(environment["EDGEFACE_SOCKET"]).unlink()
    assert "your own gallery" not in call(main, "list", environment=environment).stderr


def test_a_gallery_that_is_not_there_is_named_once(tmp_path: Path) -> None:
    missing = tmp_path / "typo"
    for arguments in (
        ("identify", PORTRAITS / "obama.jpg"),
        ("gallery", "compact"),
        ("list",),
        ("run", "--source", PORTRAITS / "obama.jpg"),
    ):
        done = call(main, *arguments, "--gallery", missing)
        assert done.status in (0, 1)
        said = re.findall(
            f"(?:there is no gallery|nobody is enrolled in) {missing}", done.stdout + done.stderr
        )
        assert len(said) == 1, arguments


def test_a_tilde_that_no_shell_replaced_is_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    picture = PORTRAITS / "obama.jpg"
    assert call(main, "enroll", "ada", picture, "--gallery", "~/own/faces").status == 0
    assert (tmp_path / "home" / "own" / "faces").exists()
    environment = {**os.environ, "EDGEFACE_GALLERY": "~/own/faces"}
    assert "ada" in call(main, "list", environment=environment).stdout
    assert "ada" in call(main, "list", "--gallery=~/own/faces").stdout
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_tilde_in_the_settings_is_refused_with_a_sentence(tmp_path: Path) -> None:
    settings = tmp_path / "edgeface.toml"
    for table, key in (("recognition", "gallery"), ("snapshots", "folder"), ("audit", "file")):
        settings.write_text(f'[{table}]\n{key} = "~/x"\n')
        done = call(main, "config", "check", settings)
        assert done.status == 2
        assert f"{table}.{key}: ~/x begins with ~" in done.stderr
