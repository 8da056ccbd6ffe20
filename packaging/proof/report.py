"""Report: the results of the proofs, as the page docs/raspberry-pi-proof.md.

Takes in what each system's proof has saved, hands on Markdown. It judges nothing: a proof that
failed has saved nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_HEAD = """\
# Proof on emulated Raspberry Pi systems

Made by `make test-pi` (which needs root, debootstrap and qemu-user; a Pi needs none of them). Each
system is built from scratch by debootstrap for its processor, and EdgeFace is installed there by
exactly the commands of the README. Minutes are an emulator's on a shared two-core server: they say
nothing about a Pi's speed.

What this cannot prove: cameras, GPIO, heat and speed. For those there are `edgeface doctor` and
`edgeface bench` on the board.
"""

_PACKAGES = """\
## The Debian package

Made by `make test-deb`: installed by apt in the previous version, upgraded with unchanged settings,
used, edited, upgraded, removed, purged, and purged with an encrypted gallery. Every file of the
system is compared; the edited settings and the gallery must survive the upgrade, and only the
gallery (with its key) the purge.

| system | run | `edgeface demo` | left after purge | minutes |
| --- | --- | --- | --- | ---: |"""


def as_markdown(folder: Path) -> str:
    """The page, from the last results in `folder`."""
    parts = [_HEAD]
    proofs, packages = _load(folder, "proof"), _load(folder, "package")
    whole = [proof for proof in proofs if "told" not in proof["facts"]]
    parts += [_system(proof) for proof in whole]
    parts += [_refused(proof) for proof in proofs if "told" in proof["facts"]]
    if packages:
        parts.append(_packages(packages))
    return "\n".join(parts)


def _load(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The last result of each system, the 64-bit ones first."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"{kind}-*.json"))]


def _system(proof: dict[str, Any]) -> str:
    facts = proof["facts"]
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    lines = [
        f"## {proof['suite']}, {proof['architecture']}, Python {facts['Python']}",
        "",
        f"{proof['date']}, commit {proof['commit']}, on the core of a {facts['core']}. {packages}.",
    ]
    if facts["not in Debian"]:
        lines += [
            f"Debian itself lacks {', '.join(facts['not in Debian'])}; Raspberry Pi OS has it."
        ]
    lines += ["", "| step | result |", "| --- | --- |"]
    for key, name in (("demo", "LiteRT"), ("demo, tflite-runtime", "tflite-runtime")):
        if key in facts:
            lines.append(f"| `edgeface demo`, {name} | {facts[key]} |")
    lines.append("| enroll, verify, identify | the six exit statuses expected |")
    lines.append(
        f"| operators of the int8 model that XNNPACK runs | {facts['in XNNPACK']} of "
        f"{facts['operators']} |"
    )
    for key, summary in facts.items():
        if key.startswith("tests, "):
            lines.append(f"| {key} | {summary} |")
        elif key.startswith("parity, "):
            lines.append(
                f"| parity, {key.removeprefix('parity, ')}, {summary['faces']} faces "
                f"({proof['faces']}) | cosine with x86 {summary['least_cosine']:.5f} at least, "
                f"{summary['median_cosine']:.5f} in the median; {summary['different']} of "
                f"{summary['decisions']:,} decisions differ |"
            )
    if "NumPy beside apt's simplejpeg" in facts:
        version = facts["NumPy beside apt's simplejpeg"]
        lines.append(
            f"| apt's simplejpeg, which picamera2 needs, beside NumPy {version} | imported |"
        )
    lines += ["", "`edgeface doctor`:", "", "```"]
    for name, (ok, detail, advice) in facts["doctor"].items():
        lines.append(f"{'ok  ' if ok else 'FAIL'} {name}: {detail}")
        if advice:
            lines.append(f"     {advice}")
    return "\n".join([*lines, "```", "", *_minutes(proof)])


def _refused(proof: dict[str, Any]) -> str:
    return "\n".join(
        [
            f"## {proof['suite']}, {proof['architecture']}: a 32-bit system",
            "",
            f"{proof['date']}, commit {proof['commit']}. `pip install .` ends with an error that "
            "says:",
            "",
            "```",
            proof["facts"]["told"],
            "```",
            "",
            *_minutes(proof),
        ]
    )


def _packages(lives: list[dict[str, Any]]) -> str:
    lines = [_PACKAGES]
    lines += [
        f"| {life['suite']}, {life['architecture']} | {life['date']}, commit {life['commit']} | "
        f"{life['facts']['demo']} | {', '.join(life['facts']['left after purge'])} | "
        f"{sum(minutes for _, minutes in life['steps']):.1f} |"
        for life in lives
    ]
    return "\n".join([*lines, ""])


def _minutes(proof: dict[str, Any]) -> list[str]:
    lines = ["| step | minutes |", "| --- | ---: |"]
    lines += [f"| {what} | {minutes:.1f} |" for what, minutes in proof["steps"]]
    return [*lines, f"| all | {sum(minutes for _, minutes in proof['steps']):.1f} |", ""]
