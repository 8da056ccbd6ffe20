"""Architecture: what may import what, as pyproject.toml declares and docs/architecture.md shows.

The rules are import-linter's contracts. Violations are tried on a copy of the tree.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

pytestmark = pytest.mark.skipif(
    find_spec("grimp") is None, reason="import-linter comes with the extra dev"
)
PAGE = CHECKOUT / "docs" / "architecture.md"
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program over the tree at `root`, whose packages hide the installed ones."""
    path = os.pathsep.join([str(root), str(root / "tools")])
    return subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    call = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return run(root, "-c", call, "--no-cache")


def import_graph(root: Path) -> subprocess.CompletedProcess[str]:
    return run(root, "-m", "benchmarks.import_graph", "--root", str(root))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the tree's Python files, to be changed."""
    for folder in ("edgeface", "tools", "benchmarks"):
        shutil.copytree(
            CHECKOUT / folder,
            tmp_path / folder,
            ignore=lambda where, names: [
                name
                for name in names
                if not (Path(where) / name).is_dir() and not name.endswith(".py")
            ],
        )
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    return tmp_path


def add(path: Path, line: str) -> None:
    path.write_text(f"{path.read_text()}\n{line}\n")


def test_nobody_imports_upwards_or_in_a_cycle() -> None:
    linted = lint(CHECKOUT)
    assert linted.returncode == 0, linted.stdout
    shown = import_graph(CHECKOUT)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.count("cycles: 0, arrows upwards: 0") == 2


def test_each_top_level_has_at_most_twenty_units() -> None:
    counts = re.findall(r"(\d+) units", import_graph(CHECKOUT).stdout)
    assert len(counts) == 2
    assert all(int(count) <= 20 for count in counts)


def test_a_source_that_imports_the_service_is_noticed(copy: Path) -> None:
    add(copy / "edgeface/sources/feed.py", "from edgeface.service import loop")
    linted = lint(copy)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert "edgeface.sources is not allowed to import edgeface.service" in linted.stdout
    shown = import_graph(copy)
    assert shown.returncode == 1, shown.stderr
    assert "UPWARDS edgeface.sources.feed -> edgeface.service.loop" in shown.stdout
    assert "CYCLE" in shown.stdout


def test_an_upward_import_inside_a_function_is_noticed(copy: Path) -> None:
    add(copy / "edgeface/pipeline/align.py", "def late():\n    import edgeface.gallery.file")
    assert lint(copy).returncode == 1
    shown = import_graph(copy)
    assert shown.returncode == 1
    assert "UPWARDS edgeface.pipeline.align -> edgeface.gallery.file" in shown.stdout


def test_an_undeclared_unit_is_noticed(copy: Path) -> None:
    (copy / "edgeface/attic.py").write_text('"""A new unit."""\n')
    assert lint(copy).returncode == 1


def test_the_runtime_may_not_import_the_workstations_tools(copy: Path) -> None:
    add(copy / "edgeface/bench/evaluate.py", "import edgeface_tools.people.curves")
    assert lint(copy).returncode == 1


@pytest.mark.parametrize("package", ["edgeface", "edgeface_tools"])
def test_the_page_shows_the_declared_layers(package: str) -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    declared = next(c["layers"] for c in contracts if c.get("containers") == [package])
    marked = re.search(rf"<!-- layers {package} -->(.*?)<!-- /layers -->", PAGE.read_text(), re.S)
    assert marked is not None, f"{PAGE.name} does not show the layers of {package}"
    rows = re.findall(r"^\| (.+?) \|", marked[1], re.M)[1:]  # without the head
    shown = [" | ".join(re.findall(r"`(\w+)`", row)) for row in rows if "`" in row]
    assert shown == declared
