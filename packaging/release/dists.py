"""Build the source archive and, from it, the wheel, reproducibly.

python packaging/release/dists.py [--out dist]     build
python packaging/release/dists.py --twice          build twice and compare
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import source

LARGEST_WHEEL = 30_000_000  # bytes: a Pi's owner may be on a slow line


def build(out: Path) -> list[Path]:
    """The source archive and the wheel in `out`; the wheel is built from the archive."""
    out.mkdir(parents=True, exist_ok=True)
    constraints = source.CHECKOUT / "packaging" / "release" / "build-constraints.txt"
    environment = {
        **os.environ,
        "SOURCE_DATE_EPOCH": str(source.epoch()),
        "PIP_CONSTRAINT": str(constraints),
        "PIP_QUIET": "1",
    }
    with tempfile.TemporaryDirectory() as scratch:
        copy = source.copy_to(Path(scratch) / "edgeface")
        _build(["--sdist", "--outdir", scratch, str(copy)], environment)
        (archive,) = Path(scratch).glob("*.tar.gz")
        settled = out / archive.name
        _settle_archive(archive, settled)
        with tarfile.open(settled) as unpacked:
            unpacked.extractall(Path(scratch) / "unpacked", filter="data")
        (tree,) = (Path(scratch) / "unpacked").iterdir()
        source.settle(tree)
        _build(["--wheel", "--outdir", str(out), str(tree)], environment)
    (wheel,) = out.glob(f"{settled.name.removesuffix('.tar.gz')}-*.whl")
    if wheel.stat().st_size > LARGEST_WHEEL:
        sys.exit(f"{wheel.name} is larger than {LARGEST_WHEEL / 1e6:.0f} MB")
    return [settled, wheel]


def _build(arguments: list[str], environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "build", *arguments]
    done = subprocess.run(  # noqa: S603
        command, env=environment, capture_output=True, text=True, check=False, umask=0o022
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def _settle_archive(archive: Path, settled: Path) -> None:
    """The same archive with names sorted, one timestamp, and no user or group."""
    with (
        tarfile.open(archive) as given,
        settled.open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=source.epoch()) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as taken,
    ):
        for member in sorted(given.getmembers(), key=lambda member: member.name):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = source.epoch()
            member.mode = 0o755 if member.isdir() or member.mode & 0o111 else 0o644
            member.pax_headers = {}
            taken.addfile(member, given.extractfile(member) if member.isfile() else None)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=source.CHECKOUT / "dist")
    parser.add_argument("--twice", action="store_true", help="build again elsewhere and compare")
    chosen = parser.parse_args()
    made = build(chosen.out)
    for path in made:
        print(f"{digest(path)}  {path.name}  {path.stat().st_size / 1e6:.1f} MB")
    if chosen.twice:
        before = os.umask(0o077)
        with tempfile.TemporaryDirectory() as elsewhere:
            again = build(Path(elsewhere))
            os.umask(before)
            for one, other in zip(made, again, strict=True):
                if digest(one) != digest(other):
                    sys.exit(f"{one.name} came out differently the second time")
        print("built twice, the same bytes")


if __name__ == "__main__":
    main()
