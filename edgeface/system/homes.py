"""Homes: this user's own folders, which a user number in a container may not have.

Takes in the environment and the system's list of users, hands on paths. It makes no folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from edgeface.errors import ConfigError

_KINDS = {
    "data": ("XDG_DATA_HOME", ".local/share"),
    "state": ("XDG_STATE_HOME", ".local/state"),
}


def own_folder(kind: Literal["data", "state"]) -> Path | None:
    """The XDG folder of this user for such files: as the environment says, else below the home;
    None where neither is there (`docker run --user 1234` without HOME)."""
    variable, usual = _KINDS[kind]
    if chosen := os.environ.get(variable):
        return Path(chosen)
    try:
        return Path.home() / usual
    except RuntimeError:
        return None


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path whose ~ no shell has replaced, as in '~/gallery' or --gallery=~/gallery.

    Raises ConfigError for ~/ where this user has no home. A name such as ~ada of no user here is a
    name as any other.
    """
    whole = Path(path)
    first = whole.parts[0] if whole.parts else ""
    if not first.startswith("~"):
        return whole
    try:
        return whole.expanduser()
    except RuntimeError:
        if first != "~":
            return whole
        raise ConfigError(
            f"{path}: the user number {os.geteuid()} has no home folder; write the path in full"
        ) from None
