"""Runs the real `convert-model` in a process of its own, for the tests."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    status: int
    stdout: str
    stderr: str


def convert_model(*arguments: str | Path) -> Outcome:
    done = subprocess.run(
        [sys.executable, "-m", "edgeface_tools.cli.convert_model", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


def refused(*arguments: str | Path) -> str:
    outcome = convert_model(*arguments)
    assert outcome.status == 2
    (line,) = [text for text in outcome.stderr.splitlines() if text.startswith("convert-model: ")]
    return line
