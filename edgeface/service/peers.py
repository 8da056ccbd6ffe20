"""Peers: who is at the other end of a Unix socket, and whether they may administer.

Takes in a connected socket, hands on a `Peer` with the identity that the kernel vouches for
(SO_PEERCRED, SO_PEERGROUPS; unix(7)). It trusts nothing that a client says about itself.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from contextlib import suppress

import msgspec

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_SO_PEERGROUPS = getattr(socket, "SO_PEERGROUPS", 59)  # missing in Python 3.13; since Linux 4.13
_MOST_GROUPS = 256  # as many as fit into Python's longest option of a socket, 1,024 bytes


class Peer(msgspec.Struct, frozen=True):
    """A process as it was when it connected."""

    pid: int
    uid: int
    gids: frozenset[int]

    @property
    def user(self) -> str | None:
        """The user's name; None where the system knows none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return None

    def __str__(self) -> str:
        return f"{self.user or 'a user without a name'} (uid {self.uid}, pid {self.pid})"

    def may_administer(self, group: str) -> bool:
        """Whether this is root, the service's own user, or a member of `group`."""
        if self.uid in (0, os.geteuid()):
            return True
        with suppress(KeyError):
            return grp.getgrnam(group).gr_gid in self.gids
        return False


def own_peer() -> Peer:
    """This process itself."""
    return Peer(os.getpid(), os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))


def peer_of(connection: socket.socket) -> Peer:
    """Who has connected. Raises OSError where the kernel does not say."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    # Without SO_PEERGROUPS, or with more groups, the primary one alone counts: fewer rights, never
    # more.
    groups = b""
    with suppress(OSError):
        groups = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)
    return Peer(pid, uid, frozenset({gid, *(gid for (gid,) in struct.iter_unpack("i", groups))}))
