"""Secrets: passwords and keys that whoever prints them sees as dots.

Takes in a text, or where to find it (a file, or "credential:NAME" for one that systemd hands to the
service alone), hands on a `Secret`, which `open` turns into its text. What sends it opens it, and
nobody else: printed, formatted, logged, encoded or in an error it is dots, and it is never pickled.
"""

from __future__ import annotations

import hmac
import os
import re
from pathlib import Path
from typing import Any, NoReturn, Self

from edgeface.errors import ConfigError

DOTS = "..."
"""What is shown in a secret's place."""
_CREDENTIAL = "credential:"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Secret:
    """A text that only `open` gives. Equal to another that opens to the same or names the same."""

    __slots__ = ("__named", "__text")

    def __init__(self, text: str) -> None:
        self.__text, self.__named = text, ""

    @classmethod
    def named(cls, named: str) -> Self:
        """The secret in the file that `named` leads to; it is read whenever it is opened."""
        made = cls("")
        made.__named = named
        return made

    @classmethod
    def of_setting(cls, value: object) -> Self:
        """What a setting says: "credential:NAME", or the text itself; ValueError for the rest."""
        if not isinstance(value, str):
            raise ValueError('must be text, best "credential:NAME"')
        if not value.startswith(_CREDENTIAL):
            return cls(value)
        if not _NAME.fullmatch(value.removeprefix(_CREDENTIAL)):
            raise ValueError('must name a file in /etc/edgeface/credentials, as "credential:NAME"')
        return cls.named(value)

    @property
    def written_out(self) -> bool:
        """Whether it stands where it was named, rather than in a file of its own."""
        return not self.__named

    def open(self) -> str:
        """The text. ConfigError when its file cannot be read."""
        return _read(self.__named) if self.__named else self.__text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        same = hmac.compare_digest(self.__text.encode(), other.__text.encode())
        return same and self.__named == other.__named

    def __hash__(self) -> int:
        return hash((Secret, self.__text, self.__named))

    def __repr__(self) -> str:
        return DOTS

    def __format__(self, how: str) -> str:
        return format(DOTS, how)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled")


def dots(value: Any) -> str:
    """What an encoder writes for a secret (msgspec's `enc_hook`, json's `default`)."""
    if isinstance(value, Secret):
        return DOTS
    raise NotImplementedError(f"{type(value).__name__} cannot be encoded")


def _read(named: str) -> str:
    path = _path(named)
    # A password that was written where its file should be named must not be printed either.
    shown = named if named.startswith((_CREDENTIAL, "/")) else "in a file named by a relative path"
    try:
        text = path.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"cannot read the secret {shown} ({error.strerror}); check the file"
        ) from None
    except ValueError:
        raise ConfigError(f"cannot read the secret {shown} (it is not text); check it") from None
    if not text:
        raise ConfigError(f"the secret {shown} is empty; write it into its file")
    return text


def _path(named: str) -> Path:
    if not named.startswith(_CREDENTIAL):
        return Path(named)
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    name = named.removeprefix(_CREDENTIAL)
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{_CREDENTIAL}NAME names a file in /etc/edgeface/credentials, no path")
    if not folder:
        raise ConfigError(
            f"{named} is there under systemd alone; for a trial, name the file itself: "
            f"/etc/edgeface/credentials/{name}"
        )
    return Path(folder) / f"edgeface_{name}"
