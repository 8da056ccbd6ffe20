"""The proof of benchmarks/proofs/control.py in a small form; `make prove-socket` has 100,000."""

from __future__ import annotations

from pathlib import Path

from benchmarks.proofs import control as proofs


def test_hostile_lines_leave_a_running_service_as_it_was(tmp_path: Path) -> None:
    assert proofs.hostile_lines(tmp_path, 400, seed=7).startswith("400 lines")
