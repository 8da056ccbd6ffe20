"""Install, upgrade, remove and purge the Debian package, and check what it leaves behind.

    python packaging/proof/packages.py DIST [--arch amd64] [--suite bookworm] [--report FILE]

For each architecture and system: a previous version of the package (the same one with another
number, other default settings and an extra file) is installed by apt, used, upgraded, removed and
purged. Edited settings and the gallery must survive the upgrade, and only the gallery must survive
the purge; the list of all files decides. Needs root. The last results are written to the report,
next to those of prove.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import report
from prove import BOARDS_OF, SUITES, Proof
from roots import CACHE, Root, prepare

CHECKOUT = Path(__file__).resolve().parents[2]
GALLERY = "/var/lib/edgeface/gallery.safetensors"
SETTINGS = "/etc/edgeface/edgeface.toml"
OLD_ONLY = "/usr/lib/edgeface/common/edgeface/gone_since.py"
PORTRAITS = "/usr/lib/edgeface/common/edgeface/portraits"
# What apt, dpkg and the account tools keep for themselves, whatever package comes and goes.
NOISE = (
    *("/var/cache/apt", "/var/lib/apt", "/var/lib/dpkg", "/var/log", "/var/cache/ldconfig"),
    *("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/.pwd.lock", "/run"),
    *("/proc", "/sys", "/dev", "/root/.cache", "/etc/ld.so.cache", "/var/cache/debconf"),
    "/tmp",  # noqa: S108 (of the root, where the packages were put)
)


def version_before(package: Path, folder: Path) -> Path:
    """The same package as if it were older: other number, other default settings, one file more."""
    tree = folder / "tree"
    _must(["dpkg-deb", "--raw-extract", str(package), str(tree)])
    control = tree / "DEBIAN/control"
    text = control.read_text()
    version = text.split("Version: ")[1].split()[0]
    control.write_text(text.replace(f"Version: {version}", f"Version: {version}~before"))
    defaults = tree / "usr/share/edgeface/edgeface.toml"
    defaults.write_text("# of the version before\n" + defaults.read_text())
    (tree / OLD_ONLY[1:]).write_text("")
    older = folder / package.name.replace(version, f"{version}~before")
    _must(["dpkg-deb", "--root-owner-group", "-Zxz", "-z0", "--build", str(tree), str(older)])
    return older


def check(package: Path, suite: str, architecture: str) -> Proof:
    """The whole life of the package on one system."""
    proof = Proof(suite, architecture)
    with proof.step("an empty system"):
        root = Root(suite, architecture)
    with root, tempfile.TemporaryDirectory() as scratch:
        root.become(BOARDS_OF[suite][0])
        older = version_before(package, Path(scratch))
        for path in (older, package):
            root.put(path, f"/tmp/{path.name}")  # noqa: S108 (inside the root)
        with proof.step("what the package depends on"):
            root.run("apt-get update")
            # Its own leftovers are not ours, so it comes before the list of files.
            root.run("apt-get install -y --no-install-recommends libstdc++6 systemd")
        before = files(root)
        _live(root, proof, older.name, package.name)
        _purge(root, proof, before, package.name)
    return proof


def _live(root: Root, proof: Proof, older: str, newer: str) -> None:
    with proof.step(f"apt install ./{older}"):
        apt(root, f"install /tmp/{older}")
        same = root.run(f"cmp {SETTINGS} /usr/share/edgeface/edgeface.toml", check=False)
        expect(same.returncode == 0, "the default settings are not in place")
    with proof.step(f"apt install ./{newer}, settings as they came"):
        apt(root, f"install /tmp/{newer}")
        expect("of the version before" not in root.text(SETTINGS), "old default settings stay")
        expect(not (root.path / OLD_ONLY[1:]).exists(), "a file of the older version stays")
    with proof.step("edgeface demo, doctor"):
        proof.facts["demo"] = root.run("edgeface demo").stdout.strip().splitlines()[-1]
        told = root.run("edgeface doctor --json", check=False).stdout
        checks = {check["name"]: check for check in json.loads(told)["checks"]}
        proof.facts["doctor"] = {
            name: (check["ok"], check["detail"], check["advice"]) for name, check in checks.items()
        }
        well = {name for name, check in checks.items() if check["ok"]}
        expect({"runtime", "model", "gallery", "service"} <= well, f"doctor: {told}")
        expect("camera" not in well, "doctor sees a camera where there is none")
        expect("service install" in checks["service"]["advice"], "doctor: the service runs not")
    with proof.step("enroll, edit the settings, upgrade from the version before"):
        apt(root, f"install --allow-downgrades /tmp/{older}")
        pictures = f"{PORTRAITS}/obama.jpg {PORTRAITS}/obama3.jpg"
        root.run(f"edgeface enroll obama {pictures} --gallery {GALLERY}")
        owner = root.run(f"stat -c '%U %a' {GALLERY}").stdout.split()
        expect(owner == ["edgeface", "600"], f"the gallery belongs to {owner}")
        root.run(f"sed -i 's/^# fps = .*/fps = 7.0/' {SETTINGS}")
        edited, gallery = root.text(SETTINGS), (root.path / GALLERY[1:]).read_bytes()
        apt(root, f"install /tmp/{newer}")
        expect(root.text(SETTINGS) == edited and "fps = 7.0" in edited, "edited settings changed")
        expect((root.path / GALLERY[1:]).read_bytes() == gallery, "the gallery changed")
        root.run("edgeface config check")
        root.run(f"edgeface verify obama {PORTRAITS}/obama2.jpg --gallery {GALLERY}")


def _purge(root: Root, proof: Proof, before: set[str], package: str) -> None:
    root.run("mkdir -p /var/lib/edgeface/snapshots /etc/systemd/system/edgeface.service.d")
    root.run("touch /var/lib/edgeface/snapshots/a.jpg")
    root.run("touch /etc/systemd/system/edgeface.service.d/network.conf")
    root.run("systemctl enable edgeface.service")
    kept = {"/var/lib/edgeface", GALLERY, f"{GALLERY}.previous"}
    with proof.step("apt remove"):
        apt(root, "remove edgeface")
        left = files(root) - before
        strange = {name for name in left if not name.startswith(("/etc/edgeface", *kept))}
        strange -= {"/etc/systemd/system/edgeface.service.d"}
        strange -= {"/etc/systemd/system/edgeface.service.d/network.conf"}
        expect(not strange, f"removing leaves {sorted(strange)}")
        expect({SETTINGS, GALLERY} <= left, "removing takes settings or gallery away")
    with proof.step("apt purge"):
        apt(root, "purge edgeface")
        left = files(root) - before
        expect(GALLERY in left, "purging takes the gallery away")
        expect(left <= kept, f"purging leaves {sorted(left - kept)}")
        expect(before <= files(root), f"purging takes away {sorted(before - files(root))}")
        proof.facts["left after purge"] = sorted(left)
    with proof.step("an encrypted gallery keeps its key"):
        apt(root, f"install /tmp/{package}")
        key = "/etc/edgeface/credentials/gallery-key"
        root.run(f"head -c 32 /dev/urandom > {key} && chmod 600 {key}")
        root.run(f"edgeface gallery encrypt --gallery {GALLERY} --key-file {key}")
        apt(root, "purge edgeface")
        left = files(root) - before
        kept |= {"/etc/edgeface", "/etc/edgeface/credentials", key}
        expect({key, GALLERY} <= left <= kept, f"purging leaves {sorted(left)}")


def files(root: Root) -> set[str]:
    """Every file and folder of the system but what belongs to apt, dpkg and the accounts."""
    listed = root.run("find / -xdev").stdout.splitlines()
    return {name for name in listed if not name.startswith(NOISE)}


def apt(root: Root, arguments: str) -> None:
    """apt-get as a user calls it, without prompts."""
    root.run(f"apt-get -y --no-install-recommends -o Dpkg::Use-Pty=0 {arguments}")


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(f"\nNOT PROVED: {otherwise}")


def _must(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dist", type=Path)
    parser.add_argument("--arch", choices=("amd64", "arm64"))
    parser.add_argument("--suite", choices=SUITES)
    parser.add_argument("--report", type=Path, default=CACHE / "report.md")
    chosen = parser.parse_args()
    architectures = [chosen.arch] if chosen.arch else ["amd64", "arm64"]
    prepare(set(architectures))
    for architecture in architectures:
        (package,) = chosen.dist.glob(f"edgeface_*_{architecture}.deb")
        for suite in [chosen.suite] if chosen.suite else SUITES:
            proof = check(package, suite, architecture)
            proof.save("package")
            print(f"{suite} {architecture}: left after purge: {proof.facts['left after purge']}")
    chosen.report.write_text(report.as_markdown(CACHE))


if __name__ == "__main__":
    main()
