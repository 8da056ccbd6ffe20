"""Sessions and tokens: who is logged in, and which programs may use the JSON interface.

Takes in the secret of a cookie or of a header, hands on the session or token it belongs to. Only
hashes of the secrets are kept: sessions in memory, so that a restart ends them all, tokens in a
file of mode 0600.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edgeface.console import kept
from edgeface.errors import ConfigError
from edgeface.system.storage import locked

SCOPES = {
    "status": "what the service does, and its metrics",
    "events": "past and coming events, attendance",
    "people": "who is enrolled",
    "live": "what the camera sees",
    "recognize": "who is in a picture that is sent, with scores",
    "manage": "enroll and remove people",
}
_IDLE, _LONGEST = 12 * 3600.0, 7 * 86400.0  # seconds
_MOST = 50
_TOKENS = "tokens.json"
_PREFIX = "edgeface_"


@dataclass
class Session:
    """A browser that is logged in. `number` is for lists; it opens nothing."""

    number: str
    address: str
    agent: str
    begun: float  # seconds since 1970
    used: float
    generation: str  # of the password that was given
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def forged(self, given: str) -> bool:
        """Whether a form's or header's token is not this session's."""
        return not hmac.compare_digest(self.csrf.encode(), given.encode())


class Sessions:
    """All sessions, by the hash of their cookie."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._open: dict[str, Session] = {}

    def begin(self, address: str, agent: str, generation: str) -> str:
        """A new session; returns the secret for its cookie."""
        secret, now = secrets.token_urlsafe(32), self._clock()
        if len(self._open) >= _MOST:
            del self._open[min(self._open, key=lambda key: self._open[key].used)]
        self._open[kept.hashed(secret)] = Session(
            secrets.token_hex(4), address, agent[:200], now, now, generation
        )
        return secret

    def find(self, secret: str | None, generation: str) -> Session | None:
        """The session of a cookie, unless it is over or the password has been changed."""
        if not secret or not generation:
            return None
        key, now = kept.hashed(secret), self._clock()
        session = self._open.get(key)
        if session is None:
            return None
        fresh = 0 <= now - session.used <= _IDLE and 0 <= now - session.begun <= _LONGEST
        if not fresh or session.generation != generation:
            del self._open[key]
            return None
        session.used = now
        return session

    def end(self, number: str) -> bool:
        """End the session of this number; whether there was one."""
        found = [key for key, session in self._open.items() if session.number == number]
        for key in found:
            del self._open[key]
        return bool(found)

    def listed(self) -> list[Session]:
        """All sessions, the one used last first."""
        return sorted(self._open.values(), key=lambda session: session.used, reverse=True)


class Token(msgspec.Struct, frozen=True):
    """A program's right to use the JSON interface, as far as its scopes go."""

    name: str
    scopes: tuple[str, ...]
    hash: str


class Tokens:
    """The tokens in the console's folder; read anew for each request, so that one that was removed
    ends at once."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _TOKENS

    def add(self, name: str, scopes: tuple[str, ...]) -> str:
        """Make a token; returns its secret, which is kept nowhere. ConfigError for a name that is
        taken."""
        secret = _PREFIX + secrets.token_urlsafe(32)
        with locked(self._path, 5.0):
            tokens = self._read()
            if any(token.name == name for token in tokens):
                raise ConfigError(f"there is a token {name} already; remove it first")
            self._write([*tokens, Token(name, scopes, kept.hashed(secret))])
        return secret

    def remove(self, name: str) -> None:
        """Remove a token. ConfigError where there is none of this name."""
        with locked(self._path, 5.0):
            tokens = self._read()
            left = [token for token in tokens if token.name != name]
            if len(left) == len(tokens):
                raise ConfigError(f"there is no token {name}")
            self._write(left)

    def find(self, secret: str) -> Token | None:
        """The token with this secret."""
        given = kept.hashed(secret)
        for token in self._read():
            if hmac.compare_digest(token.hash, given):
                return token
        return None

    def listed(self) -> list[Token]:
        """All tokens."""
        return self._read()

    def _read(self) -> list[Token]:
        try:
            return msgspec.json.decode(kept.read(self._path, 1_000_000), type=list[Token])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError) as error:
            raise ConfigError(f"cannot read {self._path} ({error})") from None

    def _write(self, tokens: list[Token]) -> None:
        kept.write(self._path, msgspec.json.encode(tokens))
