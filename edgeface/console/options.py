"""Options: what the console is started with, in one value that the command line hands over."""

from __future__ import annotations

from pathlib import Path

import msgspec


class ConsoleOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where the service, the history and the console's own files are, and where it listens.

    names: host names by which it may be called besides localhost and its address.
    certificate, key: PEM files; without them `--lan` uses a certificate of its own in `state`.
    """

    state: Path
    socket: Path
    admin_socket: Path
    history: Path
    port: int = 8700
    lan: bool = False
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    version: str = ""

    @property
    def address(self) -> str:
        """What it listens on: this machine alone, or every interface."""
        return "" if self.lan else "127.0.0.1"
