"""The files of a release: those that git tracks, all with one timestamp.

Takes in the checkout, hands on a clean copy of it with fixed times and modes, so that a build
depends only on its content. An unpacked source archive has no git: there every file counts, and
SOURCE_DATE_EPOCH must be given.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
_NOT_SOURCE = {"build", "dist", "__pycache__"}


def epoch() -> int:
    """SOURCE_DATE_EPOCH, else the time of the last commit, in seconds since 1970."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    if not (CHECKOUT / ".git").exists():
        sys.exit("there is no git history here to take the date from; set SOURCE_DATE_EPOCH")
    return int(_git("log", "-1", "--format=%ct"))


def copy_to(folder: Path) -> Path:
    """Copy every source file, as it is now, into the empty `folder`; returns it."""
    for name in _names():
        source = CHECKOUT / name
        if source.is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    settle(folder)
    return folder


def settle(folder: Path) -> None:
    """Give everything below `folder` the release's time, and modes that no umask changes."""
    moment = epoch()
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o111 else 0o644)
        os.utime(path, (moment, moment), follow_symlinks=False)


def _names() -> list[str]:
    if (CHECKOUT / ".git").exists():
        listed = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        return sorted(name for name in listed.split("\0") if name)
    return sorted(
        str(path.relative_to(CHECKOUT))
        for path in CHECKOUT.rglob("*")
        if not any(
            part in _NOT_SOURCE or part.startswith(".venv") or part.endswith(".egg-info")
            for part in path.relative_to(CHECKOUT).parts
        )
    )


def _git(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603
        ["git", "-C", str(CHECKOUT), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout
