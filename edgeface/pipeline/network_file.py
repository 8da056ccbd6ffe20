"""Network file: a network's file, opened once, so that what is run is what was checked.

Takes in a path, hands on a descriptor: whatever takes the path's place later, it stays this file,
and that it was replaced or written into is noticed. The runtime still maps it and copies nothing.
It knows no network.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path


class NetworkFile:
    """A file that is held open as long as this lives. Raises OSError if it cannot be opened."""

    def __init__(self, path: Path, handle: int | None = None) -> None:
        """`handle` is that of a file which is open already; it is closed with this."""
        self.path = path
        self.handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if handle is None else handle
        weakref.finalize(self, os.close, self.handle)
        self._before = self._state()

    @property
    def place(self) -> str:
        """A path of this process that leads to the open file, whatever has its name by now."""
        return f"/proc/self/fd/{self.handle}"

    @property
    def mapped_as(self) -> str:
        """The name by which the kernel lists the file where it is mapped."""
        return os.readlink(self.place)

    @property
    def unchanged(self) -> bool:
        """Whether nobody has written into the file, or put another in its place, since it was
        opened."""
        return self._state() == self._before

    def _state(self) -> tuple[int, int, int]:
        """What differs after a change; nobody but root can set the time of the last one back."""
        state = os.fstat(self.handle)
        return state.st_size, state.st_mtime_ns, state.st_ctime_ns
