"""Runs a command in a process of its own and measures the most memory that it held.

Takes in the words of a command, hands on its exit status, stderr and peak in MB (the resident set's
high-water mark, as the kernel counts it). A small process stands between, since a new process
begins with the mark of the one that started it. It reads no output but stderr.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_BETWEEN = """
import json, os, subprocess, sys
started = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
said = started.stderr.read().decode(errors="replace")
_, status, usage = os.wait4(started.pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), said, usage.ru_maxrss / 1000]))
"""


@dataclass(frozen=True)
class Measured:
    status: int
    stderr: str
    peak_mb: float


def measure(*command: str | Path, environment: Mapping[str, str] | None = None) -> Measured:
    """Run `python -m edgeface ...`; its peak is that process's alone, not its children's."""
    words = [sys.executable, "-m", "edgeface", *map(str, command)]
    done = subprocess.run(
        [sys.executable, "-S", "-c", _BETWEEN, *words],
        capture_output=True,
        env=environment,
        check=True,
    )
    return Measured(*json.loads(done.stdout))
