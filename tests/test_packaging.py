"""Packaging: what is shipped is complete and says what it needs; `make test-deb` installs it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from edgeface.pipeline.model_file import SHIPPED_MODELS
from tests.conftest import CHECKOUT

DEBIAN = CHECKOUT / "packaging" / "debian"
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
requirements = pytest.importorskip("packaging.requirements")


def pinned(abi: str) -> dict[str, str]:
    """Versions that the Debian package brings for one Python, by name."""
    text = "".join((DEBIAN / f"wheels-{part}.txt").read_text() for part in ("common", abi))
    return dict(re.findall(r"^([\w-]+)==(\S+)", text, flags=re.M))


@pytest.mark.parametrize("abi", ["cp311", "cp313"])
def test_the_debian_package_brings_every_dependency(abi: str) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(one for name in ("crypto", "gpio", "mqtt") for one in extras[name]),
    ]
    versions = pinned(abi)
    for text in wanted:
        requirement = requirements.Requirement(text)
        system = {"python_version": f"3.{abi[3:]}", "platform_machine": "aarch64"}
        if requirement.marker is None or requirement.marker.evaluate(system):
            assert requirement.specifier.contains(versions[requirement.name]), text


@pytest.mark.parametrize("abi", ["cp311", "cp313"])
def test_each_wheel_is_pinned_by_a_hash(abi: str) -> None:
    for part in ("common", abi):
        for entry in re.split(r"^(?=\w)", (DEBIAN / f"wheels-{part}.txt").read_text(), flags=re.M)[
            1:
        ]:
            hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})\b", entry)
            # One wheel for both processors, or one for each.
            assert len(hashes) in ((1, 2) if part == "common" else (2,)), entry


def test_a_purge_keeps_the_galleries_of_all_models_and_the_choice() -> None:
    script = (DEBIAN / "postrm").read_text()
    for kept in ("model", *(one.name for one in SHIPPED_MODELS)):
        assert f'! -path "$gallery.{kept}"' in script


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_maintainer_script_is_valid_and_asks_nothing(name: str) -> None:
    script = DEBIAN / name
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)  # noqa: S607
    assert (done.returncode, done.stderr) == (0, "")
    assert "set -e" in script.read_text()
    assert not re.search(r"^\s*read\b|debconf", script.read_text(), flags=re.M)


def test_a_32_bit_installation_ends_with_a_sentence(tmp_path: Path) -> None:
    hook = CHECKOUT / "packaging" / "release" / "only_64_bit.py"
    code = f"import sys; sys.maxsize = 2**31 - 1; exec(open({str(hook)!r}).read())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "64-bit" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_package_is_found_from_beside_a_checkout(tmp_path: Path) -> None:
    """A folder `edgeface` without code, as a checkout is, must not hide the installed package."""
    (tmp_path / "edgeface").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", "import edgeface; print(edgeface.FaceVerifier.__name__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("FaceVerifier\n", "")


def test_the_proof_on_a_pi_names_tests_that_exist() -> None:
    code = "import prove; print(*prove.PI_TESTS, *prove.TFLITE_TESTS, sep='\\n')"
    folder = CHECKOUT / "packaging" / "proof"
    named = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(named) > 20
    for name in named:
        path, _, test = name.partition("::")
        assert f"def {test}" in (CHECKOUT / "tests" / path).read_text(), name


SUMS = CHECKOUT / "packaging" / "release" / "sums.py"
needs_ssh = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None,
    reason="no ssh-keygen; install it: apt install openssh-client",
)


def sums(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SUMS, *arguments], capture_output=True, text=True, check=False
    )


def verified(folder: Path, signers: Path) -> bool:
    """What docs/security.md says, line by line."""
    text = (CHECKOUT / "docs/security.md").read_text()
    (check,) = re.findall(r"^ssh-keygen -Y verify .*$", text, flags=re.M)
    (count,) = re.findall(r"^sha256sum --check .*$", text, flags=re.M)
    script = f"set -e\n{check.replace('-f signers', f'-f {signers}')}\n{count}"
    return subprocess.run(["sh", "-c", script], cwd=folder, check=False).returncode == 0  # noqa: S607


@needs_ssh
def test_the_sums_beside_the_packages_are_signed_and_checked_as_documented(tmp_path: Path) -> None:
    dist, key = tmp_path / "dist", tmp_path / "key"
    dist.mkdir()
    for name in ("edgeface_0.1.0_arm64.deb", "edgeface-0.1.0-py3-none-any.whl"):
        (dist / name).write_bytes(name.encode())
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key],  # noqa: S607
        check=True,
    )
    signers = tmp_path / "signers"
    public = key.with_suffix(".pub").read_text()
    signers.write_text(f'packages@edgeface.invalid namespaces="edgeface-release" {public}')
    done = sums("--out", dist, "--sign", key)
    assert done.returncode == 0, done.stderr
    assert len((dist / "SHA256SUMS").read_text().splitlines()) == 2
    assert verified(dist, signers)

    (dist / "edgeface_0.1.0_arm64.deb").write_bytes(b"another")
    assert not verified(dist, signers)
    assert sums("--out", dist).returncode == 0  # the sums are right again, the signature is gone
    assert not verified(dist, signers)
    assert sums("--out", dist, "--sign", key).returncode == 0
    signers.write_text(signers.read_text().replace("edgeface-release", "git"))
    assert not verified(dist, signers)


def test_a_key_in_the_checkout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.deb").write_bytes(b"")
    done = sums("--out", tmp_path, "--sign", CHECKOUT / "release-key")
    assert done.returncode == 1
    assert "lies in the checkout" in done.stderr
    assert not (tmp_path / "SHA256SUMS.sig").exists()
