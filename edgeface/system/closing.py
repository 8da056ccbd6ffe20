"""Closing: gives `with` to everything that has `close`."""

from __future__ import annotations

from typing import Self


class Closing:
    """A base for what must be closed: `with` closes it, even if an error ends the block."""

    def close(self) -> object:
        """Release everything that is held open."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
