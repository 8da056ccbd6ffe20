"""`import edgeface`: every name that a caller may meet, quickly, with a page of help.

And its documents: docs/python.md is as the docstrings say, docs/from-other-libraries.md complete.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import edgeface
from edgeface.errors import EdgeFaceError
from tests.conftest import CHECKOUT

SOURCE = ast.parse(Path(edgeface.__file__).read_text())


def ask(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_is_one_screen() -> None:
    page = ask("import edgeface; help(edgeface)")
    assert len(page.splitlines()) <= 48
    for name in ("FaceVerifier", "verify", "compare", "faces", "EdgeFaceError", "docs/python.md"):
        assert name in page


def test_importing_it_loads_nothing_heavy() -> None:
    script = "import sys; before = set(sys.modules); import edgeface; dir(edgeface)\n"
    loaded = ask(script + "print(*(set(sys.modules) - before))").split()
    others = {name for name in loaded if name.partition(".")[0] not in sys.stdlib_module_names}
    assert others == {"edgeface"}


def test_every_name_is_listed_and_there() -> None:
    assert sorted(edgeface.__all__) == edgeface.__all__
    assert set(edgeface.__all__) <= set(dir(edgeface))
    for name in edgeface.__all__:
        assert getattr(edgeface, name) is not None
    scope: dict[str, object] = {}
    exec("from edgeface import *", scope)  # noqa: S102
    assert set(edgeface.__all__) <= set(scope)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        edgeface.Nonsense  # noqa: B018


def test_a_type_checker_sees_the_same_names() -> None:
    imported = {
        alias.name: node.module
        for node in ast.walk(SOURCE)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("edgeface")
        for alias in node.names
    }
    assert imported == edgeface._HOMES
    assert {*imported, "__version__"} == set(edgeface.__all__)


def test_every_error_can_be_caught_by_its_name() -> None:
    for module in pkgutil.walk_packages(edgeface.__path__, "edgeface."):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:  # the extras console and hub are not installed
            assert module.name.startswith(("edgeface.console.", "edgeface.hub.server")), error
    kinds, waiting = set(), [EdgeFaceError]
    while waiting:
        kind = waiting.pop()
        kinds.add(kind)
        waiting += kind.__subclasses__()
    ours = {kind for kind in kinds if kind.__module__.startswith("edgeface.")}
    assert {kind.__name__ for kind in ours} <= set(edgeface.__all__)
    for kind in ours:
        assert getattr(edgeface, kind.__name__) is kind


def test_what_the_verifier_hands_on_has_a_public_type() -> None:
    others = {"Embedding", "NDArray", "FacePipeline"}  # arrays, and the way to the stations
    for name, member in vars(edgeface.FaceVerifier).items():
        function = member.fget if isinstance(member, property) else member
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        assert inspect.getdoc(function), f"{name} has no docstring"
        for node in ast.walk(ast.parse(str(function.__annotations__["return"]))):
            if isinstance(node, ast.Name) and node.id[0].isupper() and node.id not in others:
                assert node.id in edgeface.__all__ or node.id == "FacePipeline", (
                    f"{name}: {node.id}"
                )


def test_the_reference_is_as_the_docstrings_say(tmp_path: Path) -> None:
    pytest.importorskip("griffe2md")  # the second back end's environment cannot write it
    page = tmp_path / "python.md"
    writer = CHECKOUT / "docs" / "python_page.py"
    subprocess.run([sys.executable, str(writer), str(page)], check=True)
    assert (CHECKOUT / "docs" / "python.md").read_text() == page.read_text(), "run: make api"


FACE_RECOGNITION = (
    *("load_image_file", "face_locations", "batch_face_locations", "face_landmarks"),
    *("face_encodings", "face_distance", "compare_faces"),
)


def test_every_call_of_face_recognition_has_its_place_in_one_table() -> None:
    text = (CHECKOUT / "docs" / "from-other-libraries.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)\([^|]*\| (.*) \|$", text, re.M))
    assert set(FACE_RECOGNITION) <= set(rows)
    for call in re.findall(r"verifier\.(\w+)", text):
        assert hasattr(edgeface.FaceVerifier, call), call
