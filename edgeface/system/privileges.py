"""Privileges: what root does with files in another user's folder is done as that user.

Takes in a path, gives up root's rights for good where somebody other than root controls the way to
it, and says as whom the process acts from then on. It opens nothing itself.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from edgeface.errors import ConfigError

_MOST_LINKS = 40  # on the way to a file, as the kernel allows


@dataclass(frozen=True)
class Owner:
    """A user and their group, by number."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        """The user's name, for people to read."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"number {self.uid}"


def become_owner(path: Path) -> Owner | None:
    """Where root works on a file in a folder that another user controls: become that user.

    There is no way back. Returns who that is, None where nothing was given up. To be called before
    anything is opened: in such a folder any name may be a link to a file of root's, and a picture
    may be made to break its decoder. Raises ConfigError where it cannot be done.
    """
    if os.geteuid() != 0:
        return None
    owner = controller(path)
    if owner is None:
        return None
    try:
        _give_up(owner)
    except OSError as error:
        raise ConfigError(
            f"cannot work as the user {owner.name}, to whom the folder of {path} belongs "
            f"({error.strerror}); run this as that user"
        ) from None
    if not os.access(__file__, os.R_OK):
        raise ConfigError(
            f"the folder of {path} belongs to the user {owner.name}, who may not read EdgeFace's "
            f"own files in {Path(__file__).parents[1]}; install it where everybody may read it"
        )
    return owner


def controller(path: Path) -> Owner | None:
    """Who, other than root, first controls a folder or a link on the way to `path`, if anybody.

    Raises ConfigError for a folder in which everybody may replace what root relies on.
    """
    waiting = list(reversed((Path.cwd() / path.parent).parts))
    here, links = Path(waiting.pop()), 0
    while True:
        state = here.lstat()
        if state.st_uid != 0:
            return _owner(state)
        if stat.S_ISLNK(state.st_mode):
            links += 1
            if links > _MOST_LINKS:
                return None  # whoever opens it will say so
            waiting += reversed(Path(os.readlink(here)).parts)
            here = here.parent
        elif state.st_mode & stat.S_IWOTH and not state.st_mode & stat.S_ISVTX:
            raise ConfigError(
                f"everybody may write to the folder {here}, so root uses no gallery there; run: "
                f"chmod o-w {here}"
            )
        if not waiting or not os.path.lexists(here / waiting[-1]):
            return None
        here = here / waiting.pop()


def _owner(state: os.stat_result) -> Owner:
    """The user with their own group: that of a file may be root's."""
    try:
        return Owner(state.st_uid, pwd.getpwuid(state.st_uid).pw_gid)
    except KeyError:  # a number without a name
        return Owner(state.st_uid, state.st_gid or state.st_uid)


def _give_up(owner: Owner) -> None:
    """Groups first: without root's rights nobody could change them."""
    try:
        os.initgroups(pwd.getpwuid(owner.uid).pw_name, owner.gid)
    except KeyError:
        os.setgroups([owner.gid])
    os.setresgid(owner.gid, owner.gid, owner.gid)
    os.setresuid(owner.uid, owner.uid, owner.uid)
    if os.getresuid() != (owner.uid,) * 3 or os.getresgid() != (owner.gid,) * 3:
        raise OSError(1, "the kernel kept root's rights")
