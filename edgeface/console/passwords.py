"""Passwords: the console's one password, and how often it may be tried.

Takes in what somebody typed, says whether it is the password, and keeps an Argon2id hash of it in a
file of mode 0600. Who guesses waits longer and longer, by address and, where many addresses guess,
all together. The password itself is kept nowhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from edgeface.errors import ConfigError
from edgeface.system.storage import Folder, write_atomically

LEAST_LENGTH = 10
MOST_LENGTH = 1000
_FILE = "password"
# OWASP's parameters for Argon2id with 19 MiB, and one round more.
_HASHER = PasswordHasher(time_cost=3, memory_cost=19 * 1024, parallelism=1)
_FREE = 5  # wrong attempts from an address before it must wait
_FREE_ALL = 50  # wrong attempts from all addresses together
_FIRST_WAIT, _LONGEST_WAIT = 10.0, 900.0  # seconds
_MEMORY = 3600.0  # seconds after which wrong attempts are forgotten
_MOST_ADDRESSES = 1000


class Throttle:
    """How long an address must wait before it may try again. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, tuple[int, float]] = {}  # by address: how many, the last one's
        self._all: deque[float] = deque(maxlen=_FREE_ALL)
        self._known: deque[str] = deque(maxlen=_MOST_ADDRESSES)  # whence the password came before

    def wait(self, address: str) -> float:
        """The seconds until this address may try again; 0 if it may now."""
        now = self._clock()
        count, last = self._failures.get(address, (0, now))
        if now - last > _MEMORY:
            del self._failures[address]
            count = 0
        left = 0.0
        if count >= _FREE:
            pause = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(count - _FREE, 20))
            left = last + pause - now
        many = len(self._all) == _FREE_ALL and now - self._all[0] < _MEMORY
        if many and address not in self._known:  # who guesses must not lock the owner out
            left = max(left, self._all[-1] + _FIRST_WAIT - now)
        return max(0.0, left)

    def failed(self, address: str) -> None:
        """Note a wrong attempt."""
        now = self._clock()
        count, _ = self._failures.pop(address, (0, now))
        if len(self._failures) >= _MOST_ADDRESSES:
            del self._failures[next(iter(self._failures))]  # the one that has been quiet longest
        self._failures[address] = (count + 1, now)
        self._all.append(now)

    def passed(self, address: str) -> None:
        """Forget the wrong attempts of an address that knew the password."""
        if self._failures.pop(address, None) is not None and self._all:
            self._all.pop()
        if address not in self._known:
            self._known.append(address)


class Password:
    """The password's hash in the console's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._one_at_a_time = asyncio.Lock()  # each takes 19 MiB

    def set(self, text: str) -> None:
        """Keep another password; everybody who is logged in must log in again.

        Raises ConfigError where it is too short, or cannot be kept.
        """
        self.require_long_enough(text)
        try:
            write_atomically(self._path, [_HASHER.hash(text).encode()])
        except OSError as error:
            raise ConfigError(
                f"cannot write {self._path} ({error.strerror}); run this with sudo"
            ) from None

    @staticmethod
    def require_long_enough(text: str) -> None:
        """Raises ConfigError for a password that `set` would refuse."""
        if not LEAST_LENGTH <= len(text) <= MOST_LENGTH:
            raise ConfigError(f"the password must have {LEAST_LENGTH} to {MOST_LENGTH} characters")

    @property
    def is_set(self) -> bool:
        """Whether there is a password; without one nobody gets in."""
        return bool(self._hash())

    @property
    def generation(self) -> str:
        """Changes with the password; empty where there is none."""
        known = self._hash()
        return hashlib.sha256(known.encode()).hexdigest() if known else ""

    async def fits(self, text: str) -> bool:
        """Whether this is the password; takes a moment on purpose."""
        known = self._hash()
        if not known or len(text) > MOST_LENGTH:
            return False
        async with self._one_at_a_time:
            return await asyncio.to_thread(_verified, known, text)

    def _hash(self) -> str:
        try:
            with Folder(self._path.parent) as folder, open(folder.open(_FILE), "rb") as file:
                return file.read(1000).decode("ascii", "ignore").strip()
        except OSError:
            return ""


def _verified(known: str, text: str) -> bool:
    try:
        return _HASHER.verify(known, text)
    except (VerificationError, InvalidHashError):
        return False
