"""Write SHA256SUMS beside what was built, and sign it where a key is given.

    python packaging/release/sums.py [--out dist]                 SHA256SUMS
    python packaging/release/sums.py [--out dist] --sign KEY      and SHA256SUMS.sig

The signature is OpenSSH's (ssh-keygen -Y sign), which Debian and Raspberry Pi OS can check as they
are; docs/security.md says how. A key inside the checkout is refused: it could be committed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import source
from dists import digest

NAME = "SHA256SUMS"
NAMESPACE = "edgeface-release"  # a signature for another purpose is none for a release
_BUILT = ("*.deb", "*.whl", "*.tar.gz")


def write(out: Path) -> Path:
    """SHA256SUMS of every package, wheel and source archive in `out`, as sha256sum writes it."""
    built = sorted(path for pattern in _BUILT for path in out.glob(pattern))
    if not built:
        sys.exit(f"there is nothing to sum in {out}; build it with: make dist deb")
    sums = out / NAME
    sums.write_text("".join(f"{digest(path)}  {path.name}\n" for path in built))
    sums.with_name(f"{NAME}.sig").unlink(missing_ok=True)  # it is of other sums
    return sums


def sign(sums: Path, key: Path) -> Path:
    """The signature of `sums` by an OpenSSH key, beside it."""
    if key.resolve().is_relative_to(source.CHECKOUT):
        sys.exit(f"the key {key} lies in the checkout; move it to where nobody can commit it")
    if shutil.which("ssh-keygen") is None:
        sys.exit("ssh-keygen is missing; install it with: sudo apt install openssh-client")
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(sums)]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 (it may ask for a passphrase)
        sys.exit(f"{sums} was not signed; see what ssh-keygen says above")
    return sums.with_name(f"{NAME}.sig")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=source.CHECKOUT / "dist")
    parser.add_argument("--sign", type=Path, metavar="KEY", help="sign it with this OpenSSH key")
    chosen = parser.parse_args()
    sums = write(chosen.out)
    print(sums)
    if chosen.sign:
        print(sign(sums, chosen.sign))


if __name__ == "__main__":
    main()
