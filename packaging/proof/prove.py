"""Prove EdgeFace on emulated Raspberry Pi systems, from an empty one to its tests.

    python packaging/proof/prove.py [--lfw FOLDER] [--deb FOLDER] [--suite bookworm] [--report FILE]

For each system: the README's own commands for a Pi, the demo, doctor, enrolling and verifying, the
tests, and the embeddings of 50 faces compared with this machine's; on bookworm also tflite-runtime,
and on a 32-bit system the error message. Needs root. The last result is written to the report.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import parity
import report
from roots import CACHE, USER, Root, prepare

CHECKOUT = Path(__file__).resolve().parents[2]
BOARDS_OF = {"bookworm": ("Pi 4", "Pi 3"), "trixie": ("Pi 5", "Pi 4")}
"""By system, whose cores are emulated; the first one for everything but the embeddings."""
SUITES = tuple(BOARDS_OF)
SOURCE = f"/home/{USER}/edgeface-source"
COSINE = 0.999
PI_TESTS = (
    "test_decide.py",
    *(f"gallery/test_{name}.py" for name in ("gallery", "file", "search")),
    *(
        f"pipeline/test_{name}.py"
        for name in ("align", "detect", "encode", "geometry", "quality", "runtime")
    ),
    "system/test_storage.py",
    *(
        f"cli/test_commands.py::test_{name}"
        for name in (
            "enroll_adds_templates_and_list_shows_them",
            "verify_accepts_the_person_and_refuses_another",
            "identify_names_the_enrolled_and_nobody_else",
            "remove_forgets_a_person",
            "a_damaged_gallery_decides_nothing",
        )
    ),
    *(
        f"service/test_{name}.py"
        for name in ("config", "desk", "ballot", "tracked_face", "tracker")
    ),
    "sources/test_files.py",
    *(f"sinks/test_{name}.py" for name in ("gpio", "program", "snapshots", "webhook")),
)
"""What runs: every station of the pipeline, the gallery, five of the commands' tests, settings,
decisions over time, file sources and sinks.

What waits for real time (the running service, brokers, kills at random moments) or needs thousands
of inferences (liveness, LFW, bench) shows nothing about ARM under an emulator 100 times slower.
"""
TFLITE_TESTS = tuple(
    f"pipeline/test_{name}.py" for name in ("align", "detect", "encode", "runtime")
)
TEST_LOG = f"/home/{USER}/tests.log"
"""In the root, written as the tests run, so that a slow one can be seen from outside."""
TEST_TOOLS = "pytest hypothesis jsonschema safetensors cryptography gpiozero 'paho-mqtt>=2'"


@dataclass
class Proof:
    """What was seen on one system."""

    suite: str
    architecture: str
    facts: dict[str, Any] = field(default_factory=dict)
    steps: list[tuple[str, float]] = field(default_factory=list)

    def save(self, kind: str, **known: str) -> None:
        """Keep the result, a `proof` or a `package`'s life, for the report."""
        commit = subprocess.run(
            ["git", "-C", CHECKOUT, "rev-parse", "--short", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        known |= {"date": time.strftime("%Y-%m-%d"), "commit": commit or "unknown"}
        path = CACHE / f"{kind}-{self.suite}-{self.architecture}.json"
        path.write_text(json.dumps({**vars(self), **known}))

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Tell a step's beginning, and at its end the minutes that it took."""
        name = f"{self.suite} {self.architecture}"
        print(f"[{_minutes():5.1f} min] {name}: {what} ...", flush=True)
        began = time.monotonic()
        yield
        minutes = (time.monotonic() - began) / 60
        self.steps.append((what, minutes))
        print(f"[{_minutes():5.1f} min] {name}: {what}: done, {minutes:.1f} min", flush=True)


_began = time.monotonic()


def _minutes() -> float:
    return (time.monotonic() - _began) / 60


def readme_commands() -> list[str]:
    """The commands that the README gives to a Pi's owner who installs from source."""
    section = (CHECKOUT / "README.md").read_text().split("## On a Raspberry Pi", 1)[1]
    blocks = re.findall(r"```\n(.*?)```", section, flags=re.DOTALL)
    (block,) = [block for block in blocks if "-m venv --system-site-packages" in block]
    return [line for line in block.splitlines() if line.strip()]


def install(root: Root, proof: Proof) -> None:
    """Run the README's commands as they stand, as the user, in a copy of the source."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            [sys.executable, CHECKOUT / "packaging/release/dists.py", "--out", scratch],
            check=True,
            capture_output=True,
        )
        (archive,) = Path(scratch).glob("*.tar.gz")
        root.put(archive, "/tmp/source.tar.gz", USER)  # noqa: S108 (inside the root)
    root.run(f"mkdir {SOURCE} && tar -xf /tmp/source.tar.gz -C {SOURCE} --strip-components=1", USER)
    proof.facts["not in Debian"] = []
    for line in readme_commands():
        with proof.step(line):
            if line.startswith("sudo apt install"):
                apt_install(root, line.split()[3:], proof)
            else:
                # pip's own byte-compiling would take longer than everything else together.
                done = root.run(line, USER, folder=SOURCE, PIP_NO_COMPILE="0", PIP_QUIET="1")
                if line.endswith("edgeface demo"):
                    proof.facts["demo"] = done.stdout.strip().splitlines()[-1]


def apt_install(root: Root, packages: list[str], proof: Proof) -> None:
    """Install what Debian has of `packages`; Raspberry Pi OS has more."""
    root.run("apt-get update")
    for package in packages:
        known = root.run(f"apt-cache show {package}", check=False).returncode == 0
        if not known:
            proof.facts["not in Debian"].append(package)
    there = [name for name in packages if name not in proof.facts["not in Debian"]]
    root.run(f"apt-get install -y {' '.join(there)}")


def use(root: Root, proof: Proof) -> None:
    """Doctor, and a person enrolled, verified, refused and recognized, by exit status."""
    program = f"/home/{USER}/edgeface/bin/edgeface"
    pictures = f"{SOURCE}/edgeface/portraits"
    with proof.step("edgeface doctor"):
        done = root.run(f"{program} doctor --json", USER, check=False)
        proof.facts["doctor"] = {
            check["name"]: (check["ok"], check["detail"], check["advice"])
            for check in json.loads(done.stdout)["checks"]
        }
        for name in ("runtime", "model", "gallery"):
            _expect(proof.facts["doctor"][name][0], f"doctor finds {name} wrong: {done.stdout}")
        _expect(not proof.facts["doctor"]["camera"][0], "doctor sees a camera where there is none")
    with proof.step("enroll, verify, identify"):
        for arguments, status in (
            ("enroll obama obama.jpg obama3.jpg", 0),
            ("verify obama obama2.jpg", 0),
            ("verify obama biden.jpg", 1),
            ("identify obama2.jpg", 0),
            ("identify biden.jpg", 1),
            ("verify nobody biden.jpg", 2),
        ):
            done = root.run(f"{program} {arguments}", USER, check=False, folder=pictures)
            _expect(done.returncode == status, f"{arguments}: {done.stdout}{done.stderr}")


def test(root: Root, proof: Proof, environment: str, files: tuple[str, ...], key: str) -> None:
    """Run tests in the root against the package that is installed there."""
    with proof.step(f"tests, {key}"):
        root.run(
            f"{environment}/bin/pip install {TEST_TOOLS}", USER, PIP_NO_COMPILE="0", PIP_QUIET="1"
        )
        where = " ".join(f"{SOURCE}/tests/{name}" for name in files)
        done = root.run(
            f"{environment}/bin/pytest -v --durations=15 --import-mode=append "
            f"-c {SOURCE}/pyproject.toml "
            f"--rootdir {SOURCE} {where} > {TEST_LOG} 2>&1",
            USER,
            check=False,
            PYTHONSAFEPATH="1",  # and append: the installed package, not the source beside them
            EDGEFACE_SHARED="/nonexistent",
        )
        told = root.text(TEST_LOG)
        (CACHE / f"tests-{proof.suite}-{key}.log").write_text(told)
        _expect(done.returncode == 0, f"the tests failed:\n{told[-6000:]}")
        proof.facts[f"tests, {key}"] = told.strip().splitlines()[-1].strip("= ")


def compare(
    root: Root, proof: Proof, environment: str, faces: Path, runtime: str, boards: tuple[str, ...]
) -> None:
    """Encode the 50 faces on each board's kind of core and compare with this machine's."""
    root.run("mkdir -p /tmp/parity && chmod 777 /tmp/parity")
    root.put(faces / "crops.npy", "/tmp/parity/crops.npy", USER)  # noqa: S108 (inside the root)
    for board in boards:
        with proof.step(f"50 embeddings, {runtime}, {board}"):
            root.become(board)
            paths = "/tmp/parity/crops.npy /tmp/parity/out.npy"  # noqa: S108 (inside the root)
            script = f"{SOURCE}/packaging/proof/parity.py encode {paths}"
            root.run(f"{environment}/bin/python {script}", USER, PYTHONSAFEPATH="1")
            found = parity.compare(faces / "here.npy", root.path / "tmp/parity/out.npy")
            proof.facts[f"parity, {runtime}, {board}"] = vars(found)
            print(f"            {found}", flush=True)
            _expect(found.least_cosine >= COSINE, "the embeddings differ from this machine's")
            _expect(found.different == 0, "some decisions differ from this machine's")
    root.become(boards[0])


def plan(root: Root, proof: Proof, environment: str) -> None:
    """Which operators of the int8 model XNNPACK takes over on this core."""
    with proof.step("LiteRT's plan"):
        script = f"{SOURCE}/benchmarks/pi_cost.py --json"
        told = root.run(f"{environment}/bin/python {script}", USER, PYTHONSAFEPATH="1").stdout
        table = json.loads(told)
        proof.facts["operators"] = sum(line["count"] for line in table.values())
        proof.facts["in XNNPACK"] = sum(line["in_xnnpack"] for line in table.values())
        _expect(
            proof.facts["in XNNPACK"] == proof.facts["operators"], f"operators fall back: {told}"
        )


def tflite(root: Root, proof: Proof, faces: Path) -> None:
    """The same on tflite-runtime, by the README's line for it, in an environment of its own."""
    environment = f"/home/{USER}/edgeface-tflite"
    (line,) = re.findall(
        r"`(pip install -r requirements-tflite.txt && [^`]*)`", (CHECKOUT / "README.md").read_text()
    )
    with proof.step(line):
        root.run(f"python3 -m venv --system-site-packages {environment}", USER)
        root.run(
            f"PATH={environment}/bin:$PATH; {line}",
            USER,
            folder=SOURCE,
            PIP_NO_COMPILE="0",
            PIP_QUIET="1",
        )
    with proof.step("edgeface demo, tflite-runtime"):
        done = root.run(f"{environment}/bin/edgeface demo", USER, PYTHONSAFEPATH="1")
        proof.facts["demo, tflite-runtime"] = done.stdout.strip().splitlines()[-1]
        done = root.run(f"{environment}/bin/edgeface doctor --json", USER, check=False)
        _expect('"detail":"tflite-runtime"' in done.stdout, f"another runtime: {done.stdout}")
    compare(root, proof, environment, faces, "tflite-runtime", ("Pi 4",))
    test(root, proof, environment, TFLITE_TESTS, "tflite-runtime")


def picamera_neighbours(root: Root, proof: Proof) -> None:
    """apt's camera modules that were built for apt's NumPy can be imported from the environment."""
    with proof.step("apt's simplejpeg beside pip's NumPy"):
        if root.run("apt-get install -y python3-simplejpeg", check=False).returncode:
            proof.facts["not in Debian"].append("python3-simplejpeg")
            return
        code = "import simplejpeg, numpy; print(numpy.__version__, numpy.__file__)"
        done = root.run(f"/home/{USER}/edgeface/bin/python -c '{code}'", USER)
        proof.facts["NumPy beside apt's simplejpeg"] = done.stdout.split()[0]
        _expect("/edgeface/lib/" in done.stdout, f"another NumPy: {done.stdout}")


def prove(suite: str, faces: Path) -> Proof:
    """One whole 64-bit system."""
    proof = Proof(suite, "arm64")
    with proof.step("an empty system"):
        root = Root(suite, "arm64")
    with root:
        root.become(BOARDS_OF[suite][0])
        proof.facts["core"] = BOARDS_OF[suite][0]
        proof.facts["Python"] = root.run("python3 --version").stdout.split()[1]
        install(root, proof)
        environment = f"/home/{USER}/edgeface"
        listed = root.run(
            f"{environment}/bin/pip list --format=json --disable-pip-version-check", USER
        )
        proof.facts["packages"] = {
            package["name"]: package["version"]
            for package in json.loads(listed.stdout)
            if package["name"] in ("ai-edge-litert", "numpy", "opencv-python-headless", "simsimd")
        }
        picamera_neighbours(root, proof)
        use(root, proof)
        plan(root, proof, environment)
        compare(root, proof, environment, faces, "LiteRT", BOARDS_OF[suite])
        test(root, proof, environment, PI_TESTS, "LiteRT")
        if suite == "bookworm":
            tflite(root, proof, faces)
    return proof


def refuse_32_bit() -> Proof:
    """What the owner of a 32-bit system reads when the README's commands are followed."""
    proof = Proof("bookworm", "armhf")
    with proof.step("an empty system"):
        root = Root("bookworm", "armhf")
    with root:
        for name in (
            *("pyproject.toml", "README.md", "LICENSE", "NOTICE", "edgeface/__init__.py"),
            "packaging/release/only_64_bit.py",
        ):
            root.put(CHECKOUT / name, f"{SOURCE}/{name}")
        root.run(f"chown -R {USER}:{USER} {SOURCE}")
        (line,) = [line for line in readme_commands() if "pip install" in line]
        with proof.step(line):
            root.run("python3 -m venv --system-site-packages ~/edgeface", USER)
            done = root.run(line, USER, check=False, folder=SOURCE)
        told = done.stdout + done.stderr
        _expect(done.returncode != 0, "a 32-bit system installed EdgeFace")
        _expect("EdgeFace needs a 64-bit system" in told, f"nothing said why:\n{told}")
        _expect("Traceback" not in told, f"a traceback:\n{told}")
        start = told.index("EdgeFace needs")
        proof.facts["told"] = told[start:].split("\n\n")[0]
    return proof


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(f"\nNOT PROVED: {otherwise}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lfw", type=Path, help="folder of LFW View 1, for real faces")
    parser.add_argument("--suite", choices=[*SUITES, "32-bit"], help="only this system")
    parser.add_argument("--report", type=Path, default=CACHE / "report.md")
    chosen = parser.parse_args()
    prepare({"arm64", "armhf"})
    faces = CACHE / "faces"
    faces.mkdir(parents=True, exist_ok=True)
    parity.make(faces / "crops.npy", chosen.lfw)
    parity.encode(faces / "crops.npy", faces / "here.npy")
    wanted = [chosen.suite] if chosen.suite else ["32-bit", *SUITES]
    source = "of LFW View 1" if chosen.lfw else "changed views of the shipped portraits"
    for name in wanted:
        proof = refuse_32_bit() if name == "32-bit" else prove(name, faces)
        proof.save("proof", faces=source)
    chosen.report.write_text(report.as_markdown(CACHE))
    print(f"[{_minutes():5.1f} min] proved; written to {chosen.report}")


if __name__ == "__main__":
    main()
