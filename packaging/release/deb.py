"""Build edgeface_VERSION_ARCHITECTURE.deb: the wheel and the wheels it needs, in one environment.

    python packaging/release/deb.py [--arch arm64] [--out dist] [--twice]

The package holds a virtual environment, /usr/lib/edgeface, with libraries for two Pythons, so that
one file fits Debian 12 (3.11) and Debian 13 (3.13) and survives the upgrade from one to the other.
Each Python uses its own folder, lib/python3.11 or lib/python3.13, and `common` next to it. Nothing
here runs programs of the other processor; wheels are unpacked as they are.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import source
from dists import build as build_dists
from dists import digest

PROCESSORS = {"arm64": "aarch64", "amd64": "x86_64"}
PYTHONS = {"cp311": "3.11", "cp313": "3.13"}
GLIBC = (17, 24, 26, 27, 28, 31, 34)  # manylinux_2_N wheels that Debian 12's glibc 2.36 can run
HOME = Path("usr/lib/edgeface")
UNITS = ("edgeface", "edgeface-gate", "edgeface-console")
DEBIAN = source.CHECKOUT / "packaging" / "debian"
UNUSED = (
    *("bin", "__pycache__", "numpy/**/tests"),
    *(f"ai_edge_litert/{name}" for name in ("aot", "tools", "vendors")),
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so",
    *("*.dist-info/direct_url.json", "*.dist-info/RECORD"),
)
"""Of the wheels, what a door never needs: back ends for other hardware, others' tests, and pip's
own notes, which name the folder of the build; what is installed is dpkg's to know.
"""

_COMMON_LICENCES = """\
The whole texts are in /usr/share/common-licenses: Apache-2.0, GPL-3, LGPL-2.1.
"""
_CHANGELOG = """\
edgeface ({version}) unstable; urgency=medium

  * CHANGELOG.md beside this says what is new.

 -- The EdgeFace authors <packages@edgeface.invalid>  {date}
"""
_PROGRAM = """\
#!/usr/lib/edgeface/bin/python3
import sys

from edgeface.cli import main

sys.exit(main())
"""


def build(architecture: str, out: Path, version: str | None = None) -> Path:
    """The package for one architecture in `out`."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        _, wheel = build_dists(Path(scratch) / "dists")
        known = wheel.name.split("-")[1]
        _environment(root / HOME, wheel, architecture)
        _system(root)
        _documents(root, version or known)
        _control(root, architecture, version or known)
        source.settle(root)
        for name in ("preinst", "postinst", "prerm", "postrm"):
            (root / "DEBIAN" / name).chmod(0o755)
        out.mkdir(parents=True, exist_ok=True)
        package = out / f"edgeface_{version or known}_{architecture}.deb"
        # One thread: how xz cuts its blocks depends on their number. -z3 takes much less time
        # for a little more size.
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "-z3", "--threads-max=1", "--build"]
        _run([*command, str(root), str(package)])
    return package


def _environment(home: Path, wheel: Path, architecture: str) -> None:
    common = home / "common"
    _unpack("wheels-common.txt", "3.11", architecture, common)
    _pip(["--no-deps", "--target", str(common), str(wheel)])
    for abi, python in PYTHONS.items():
        packages = home / "lib" / f"python{python}" / "site-packages"
        _unpack(f"wheels-{abi}.txt", python, architecture, packages)
        (packages / "edgeface.pth").write_text(f"/{HOME}/common\n")
    for pattern in UNUSED:
        for path in [path for path in home.rglob(pattern) if path.exists()]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for library in home.rglob("*.so*"):
        library.chmod(0o644)
    (home / "bin").mkdir()
    (home / "bin/python3").symlink_to("../../../bin/python3")
    (home / "bin/edgeface").write_text(_PROGRAM)
    (home / "bin/edgeface").chmod(0o755)
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = true\n")


def _unpack(wheels: str, python: str, architecture: str, target: Path) -> None:
    processor = PROCESSORS[architecture]
    platforms = [f"manylinux_2_{n}_{processor}" for n in GLIBC] + [f"manylinux2014_{processor}"]
    options = [f"--platform={platform}" for platform in platforms]
    options += [f"--python-version={python}", "--implementation=cp"]
    options += [f"--abi={abi}" for abi in (f"cp{python.replace('.', '')}", "abi3", "none")]
    options += ["--only-binary=:all:", "--require-hashes", "--no-deps"]
    _pip([*options, "--target", str(target), "--requirement", str(DEBIAN / wheels)])


def _pip(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
    _run([*command, "--disable-pip-version-check", "--no-warn-conflicts", *arguments])


def _unit(name: str) -> str:
    """A unit as the package brings it; its first line says who else may have written it."""
    unit = (source.CHECKOUT / "packaging" / f"{name}.service").read_text()
    _, _, rest = unit.replace("@EDGEFACE@", f"/{HOME}/bin/edgeface").partition("\n")
    return f"# Change it with: systemctl edit {name}\n{rest}"


def _system(root: Path) -> None:
    packaging = source.CHECKOUT / "packaging"
    put = {
        **{f"usr/lib/systemd/system/{name}.service": _unit(name) for name in UNITS},
        "usr/lib/sysusers.d/edgeface.conf": (packaging / "edgeface.sysusers").read_text(),
        "usr/lib/udev/rules.d/60-edgeface.rules": (DEBIAN / "60-edgeface.rules").read_text(),
        "usr/share/edgeface/edgeface.toml": (packaging / "edgeface.toml").read_text(),
    }
    for name, text in put.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "usr/bin").mkdir()
    (root / "usr/bin/edgeface").symlink_to("../lib/edgeface/bin/edgeface")


def _documents(root: Path, version: str) -> None:
    folder = root / "usr/share/doc/edgeface"
    folder.mkdir(parents=True)
    texts = [(source.CHECKOUT / name).read_text() for name in ("LICENSE", "NOTICE")]
    (folder / "copyright").write_text("\n\n".join([*texts, _COMMON_LICENCES]))
    for name in (
        "raspberry-pi.md",
        "security.md",
        "service.md",
        "events.md",
        "console.md",
        "troubleshooting.md",
    ):
        _packed(folder / f"{name}.gz", (source.CHECKOUT / "docs" / name).read_bytes())
    _packed(folder / "CHANGELOG.md.gz", (source.CHECKOUT / "CHANGELOG.md").read_bytes())
    date = format_datetime(datetime.fromtimestamp(source.epoch(), UTC))
    _packed(folder / "changelog.gz", _CHANGELOG.format(version=version, date=date).encode())
    manual = (DEBIAN / "edgeface.1").read_text().replace("@VERSION@", version)
    (root / "usr/share/man/man1").mkdir(parents=True)
    _packed(root / "usr/share/man/man1/edgeface.1.gz", manual.encode())
    overrides = root / "usr/share/lintian/overrides"
    overrides.mkdir(parents=True)
    shutil.copyfile(DEBIAN / "lintian-overrides", overrides / "edgeface")


def _packed(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content, 9, mtime=0))


def _control(root: Path, architecture: str, version: str) -> None:
    folder = root / "DEBIAN"
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    kilobytes = sum(path.stat().st_size for path in files) // 1024
    folder.mkdir()
    for name in ("preinst", "postinst", "prerm", "postrm"):
        shutil.copyfile(DEBIAN / name, folder / name)
    text = (DEBIAN / "control").read_text()
    for mark, value in (
        ("@VERSION@", version),
        ("@ARCHITECTURE@", architecture),
        ("@KILOBYTES@", str(kilobytes)),
    ):
        text = text.replace(mark, value)
    (folder / "control").write_text(text)
    sums = sorted(f"{_md5(path)}  {path.relative_to(root)}\n" for path in files)
    (folder / "md5sums").write_text("".join(sums))


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _run(command: list[str]) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(source.epoch())}
    done = subprocess.run(  # noqa: S603
        command, env=environment, capture_output=True, text=True, check=False, umask=0o022
    )
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])} ... failed:\n{done.stdout}{done.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=PROCESSORS, action="append", help="default: both")
    parser.add_argument("--out", type=Path, default=source.CHECKOUT / "dist")
    parser.add_argument("--twice", action="store_true", help="build again elsewhere and compare")
    chosen = parser.parse_args()
    if shutil.which("dpkg-deb") is None:
        sys.exit("dpkg-deb is missing; packages are built on Debian and its relatives")
    for architecture in chosen.arch or PROCESSORS:
        package = build(architecture, chosen.out)
        size = package.stat().st_size / 1e6
        print(f"{digest(package)}  {package.name}  {size:.1f} MB", flush=True)
        if chosen.twice:
            before = os.umask(0o077)
            with tempfile.TemporaryDirectory() as elsewhere:
                other = digest(build(architecture, Path(elsewhere)))
            os.umask(before)
            if other != digest(package):
                sys.exit(f"{package.name} came out differently the second time")
            print("built twice, the same bytes", flush=True)


if __name__ == "__main__":
    main()
