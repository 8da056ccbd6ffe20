"""Brings the servers that tests talk to, where the machine has none installed, without root.

Takes in a program's name, hands on the environment and path to start it with: the system's own, or
the one unpacked from Debian's packages into .cache/servers by `python -m tests.helpers.servers`
(`make servers`, part of `make test`). It installs nothing and touches nothing outside that folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "servers"
ROOT = FOLDER / "root"
SERVERS = {  # a program and the package that holds it
    "mosquitto": "mosquitto",
    "chromium-headless-shell": "chromium-headless-shell",
}
_SYSTEM = (*os.get_exec_path(), "/usr/sbin", "/sbin")
_OURS = (str(ROOT / "usr/sbin"), str(ROOT / "usr/bin"))
# Lists of our own, for a machine whose lists are empty and may not be renewed.
_OWN_LISTS = (
    *("-o", f"Dir::State::Lists={FOLDER / 'lists'}"),
    *("-o", f"Dir::Cache={FOLDER / 'apt'}"),
)


def find(program: str) -> str | None:
    """Where the program is: the system's own first, else the one that was brought."""
    return shutil.which(program, path=os.pathsep.join((*_SYSTEM, *_OURS)))


def required(program: str) -> str:
    """Where the program is; skips the test where there is none, and fails it where CI is true."""
    path = find(program)
    if path is not None:
        return path
    sentence = f"there is no {program}: run make servers, or apt install {program}"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


def environment() -> dict[str, str]:
    """The environment in which a program that was brought finds its libraries."""
    libraries = [*(ROOT / "usr/lib").glob("*-linux-gnu*")]
    libraries += [folder / "pulseaudio" for folder in libraries]  # which Chromium links to
    folders = [str(folder) for folder in libraries]
    before = os.environ.get("LD_LIBRARY_PATH")
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join([*folders, *filter(None, [before])])}


def bring(package: str) -> None:
    """Download a package with the libraries that this machine lacks, and unpack them.

    Raises OSError or subprocess.CalledProcessError where there is no apt or no archive to reach.
    """
    downloads = FOLDER / "packages"
    downloads.mkdir(parents=True, exist_ok=True)
    try:
        _download(package, downloads, ())
    except subprocess.CalledProcessError:
        for folder in ("lists/partial", "apt/archives/partial"):
            (FOLDER / folder).mkdir(parents=True, exist_ok=True)
        _run("apt-get", *_OWN_LISTS, "update")
        _download(package, downloads, _OWN_LISTS)
    for path in downloads.glob("*.deb"):
        _run("dpkg-deb", "--extract", path, ROOT)


def _download(package: str, folder: Path, options: tuple[str, ...]) -> None:
    names = _with_libraries(package, options)
    _run("apt-get", *options, "download", *names, folder=folder)


def _with_libraries(package: str, options: tuple[str, ...]) -> list[str]:
    """The package and every library (and Chromium's own data) under it that is not installed."""
    wanted = [package]
    for name in wanted:  # grows while it is read
        told = _run("apt-cache", *options, "depends", name)
        for library in re.findall(r"^ *\|?Depends: (lib[\w.+-]+|chromium-common)", told, re.M):
            if library not in wanted and not _installed(library):
                wanted.append(library)
    return wanted


def _installed(package: str) -> bool:
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout == "installed"


def _run(*words: str | Path, folder: Path | None = None) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def main() -> None:
    """Bring what is missing; without it, say in a sentence what will not be tested."""
    failed = False
    for program, package in SERVERS.items():
        if find(program):
            continue
        try:
            bring(package)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", None) or str(error)
            print(
                f"{program} cannot be had here ({reason.strip().splitlines()[-1]}): its tests are "
                f"skipped, or fail where CI=true; apt install {package} brings it",
                file=sys.stderr,
            )
            failed = failed or os.environ.get("CI") == "true"
        else:
            print(f"brought {program} to {find(program)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
