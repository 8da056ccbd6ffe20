"""Secrets: passwords and keys come from files, never from the settings themselves.

Takes in what the settings name (a path, or "credential:NAME" for one that systemd hands to the
service alone), hands on its text without the line's end. It logs nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgeface.errors import ConfigError

_CREDENTIAL = "credential:"


def read_secret(named: str) -> str:
    """The secret in the file that `named` leads to; ConfigError if it cannot be read."""
    path = _path(named)
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the secret {named} ({error}); check the file") from None
    if not text:
        raise ConfigError(f"the secret {named} is empty; write it into {path}")
    return text


def _path(named: str) -> Path:
    if not named.startswith(_CREDENTIAL):
        return Path(named)
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    name = named.removeprefix(_CREDENTIAL)
    if not folder:
        raise ConfigError(
            f"{named} is there under systemd alone; for a trial, name the file itself: "
            f"/etc/edgeface/credentials/{name}"
        )
    return Path(folder) / f"edgeface_{name}"
