"""Invitation: a link that works once, with which the owner sets the password from a browser.

Takes in the secret of a link, says whether it is the one that was made last and is still valid, and
forgets it when it is used. Only its hash is kept, in a file of mode 0600.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from edgeface.errors import ConfigError
from edgeface.system.storage import Folder, locked, write_atomically

HOURS = 24
_FILE = "invitation.json"


class _Kept(msgspec.Struct, frozen=True):
    hash: str
    made: float  # seconds since 1970


class Invitation:
    """The one link of a console's folder. `clock` counts seconds since 1970."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = folder / _FILE, clock

    def make(self) -> str:
        """Another link, in place of any before; returns its secret. ConfigError says why not."""
        secret = secrets.token_urlsafe(32)
        kept = msgspec.json.encode(_Kept(_hash(secret), self._clock()))
        try:
            write_atomically(self._path, [kept])
        except OSError as error:
            raise ConfigError(
                f"cannot write {self._path} ({error.strerror}); run this with sudo"
            ) from None
        return secret

    @property
    def waits(self) -> bool:
        """Whether there is a link that can be used."""
        kept = self._kept()
        return kept is not None and 0 <= self._clock() - kept.made <= HOURS * 3600

    def fits(self, secret: str) -> bool:
        """Whether this is the link's secret, and it can be used."""
        kept = self._kept()
        return self.waits and kept is not None and hmac.compare_digest(kept.hash, _hash(secret))

    def use(self, secret: str) -> bool:
        """Use the link up; whether it could be. Of several at once one succeeds."""
        with locked(self._path, 5.0):
            if not self.fits(secret):
                return False
            self._path.unlink()
            return True

    def _kept(self) -> _Kept | None:
        try:
            with Folder(self._path.parent) as folder, open(folder.open(_FILE), "rb") as file:
                return msgspec.json.decode(file.read(1000), type=_Kept)
        except (OSError, msgspec.MsgspecError):
            return None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
