"""A user number that the system does not know, without HOME, as containers have them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest

from edgeface.cli import main
from edgeface.system.homes import expanded, own_folder
from tests.helpers.command import call


@pytest.mark.parametrize("command", ["list", "remove ada", "enroll ada x.jpg", "gallery verify"])
def test_without_a_home_a_command_asks_for_the_gallery(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_entry() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_entry)
    without = ("HOME", "XDG_DATA_HOME", "EDGEFACE_GALLERY")
    environment = {key: value for key, value in os.environ.items() if key not in without}
    done = call(main, *command.split(), environment=environment)
    assert done.status == 2
    assert "has no home folder for a gallery; name one with --gallery" in done.stderr


@pytest.mark.parametrize("kind", ["data", "state"])
def test_the_folders_are_those_of_the_environment(
    kind: Literal["data", "state"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"XDG_{kind.upper()}_HOME", raising=False)
    monkeypatch.setenv("HOME", "/somewhere")
    assert own_folder(kind) == Path("/somewhere/.local", {"data": "share"}.get(kind, kind))
    monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", "/chosen")
    assert own_folder(kind) == Path("/chosen")


def test_a_tilde_is_the_home_and_a_name_of_nobody_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded("~/x") == Path("/somewhere/x")
    assert expanded("~") == Path("/somewhere")
    assert expanded("~no-such-user.jpg") == Path("~no-such-user.jpg")
    assert expanded("x/~") == Path("x/~")
    assert expanded("") == Path()
