"""Listening: Unix sockets that are there whole or not at all, and with the right group.

Takes in a path and a group, hands on a listening socket. It accepts nothing itself.
"""

from __future__ import annotations

import asyncio
import grp
import logging
import os
import select
import socket
import stat
from pathlib import Path

from edgeface.errors import ConfigError

_log = logging.getLogger("edgeface.control")
_BACKLOG = 16
TICK = 0.25  # seconds between checks whether a client has hung up


def _hung_up(handle: int) -> bool:
    """Whether the other side has closed entirely, not only finished asking."""
    if handle < 0:
        return True
    poll = select.poll()
    poll.register(handle, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def listen(path: Path, group: str | None) -> socket.socket:
    """A socket at `path` for its owner and `group` (None: for its owner alone); one left by a dead
    process is replaced. Raises ConfigError where that cannot be."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        _refuse_foreign(path.parent)
        if path.is_socket() and _answers(path):
            raise ConfigError(
                f"another edgeface service listens at {path}; stop it first, or choose another "
                "[control] socket"
            )
        # Under another name until it is ready: whoever sees it can use it.
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listener.bind(str(fresh))
        finally:
            os.umask(before)
        if group is not None:
            _give_to(fresh, group, path)
            fresh.chmod(0o660)
        listener.listen(_BACKLOG)
        fresh.replace(path)
    except OSError as error:
        listener.close()
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"cannot listen at {path} ({error.strerror or error}); under systemd run: "
            "sudo edgeface service install"
        ) from None
    listener.setblocking(False)
    return listener


async def until_hung_up(writer: asyncio.StreamWriter) -> None:
    """Return as soon as the other side has closed entirely, not only finished sending."""
    while not _hung_up(writer.get_extra_info("socket").fileno()):
        await asyncio.sleep(TICK)


def _refuse_foreign(folder: Path) -> None:
    """Root binds and gives away nothing by a name that another user can exchange meanwhile."""
    found = folder.stat()
    shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
    if os.geteuid() == 0 and (found.st_uid != 0 or shared):
        raise ConfigError(
            f"root does not listen in {folder}, which other users can change; run the service as "
            "the folder's owner, or choose another [control] socket"
        )


def _give_to(fresh: Path, group: str, path: Path) -> None:
    """Let a group use what will be at `path`."""
    try:
        wanted = grp.getgrnam(group).gr_gid
    except KeyError:
        _log.warning("there is no group %s: only the service's user can use %s", group, path)
        return
    if fresh.lstat().st_gid != wanted:
        try:
            os.chown(fresh, -1, wanted, follow_symlinks=False)
        except PermissionError:
            _log.warning("cannot give %s to the group %s", path, group)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
