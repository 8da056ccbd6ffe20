"""Contracts: docs/contracts.md and the code agree, both ways.

Runs the real commands in this process and compares the keys of their JSON, their exit statuses,
the settings, the events, the model's description and the environment variables with the page.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import msgspec
import pytest

from edgeface.cli import cli, main
from edgeface.pipeline.model_file import Description
from edgeface.service.config import Config
from edgeface.service.desk import Request
from tests.conftest import CHECKOUT, PORTRAITS

PAGE = (CHECKOUT / "docs" / "contracts.md").read_text()
# By command: its exit status (None where it depends on the machine), and the command line.
RUN: dict[str, tuple[int | None, str]] = {
    "demo": (0, "demo"),
    "enroll": (0, "enroll ada ada1.jpg ada2.jpg"),
    "verify": (0, "verify ada door.jpg"),
    "identify": (0, "identify door.jpg"),
    "encode": (0, "encode door.jpg"),
    "list": (0, "list"),
    "gallery verify": (0, "gallery verify"),
    "gallery compact": (0, "gallery compact"),
    "gallery restore": (0, "gallery restore previous"),
    "export": (0, "export people"),
    "import": (0, "import people"),
    "eval": (0, "eval --images lfw --pairs pairs.txt"),
    "doctor": (None, "doctor --source door.jpg"),
    "config check": (0, "config check edgeface.toml"),
    "models": (0, "models"),
    "model use": (0, "model use facenet"),
    "rename": (0, "rename ada eve"),
    "merge": (0, "merge bob eve --force"),
    "remove": (0, "remove eve"),
}


def table(name: str) -> dict[str, list[str]]:
    """The words in backticks of a marked table's first two columns: first to all of the second."""
    marked = re.search(rf"<!-- {name} -->(.*?)<!-- /{name} -->", PAGE, re.S)
    assert marked is not None, f"contracts.md has no table {name}"
    rows = [line.split(" | ") for line in marked[1].splitlines() if line.startswith("| `")]
    return {re.findall(r"`([^`]+)`", row[0])[0]: re.findall(r"`([^`]+)`", row[1]) for row in rows}


def keys(value: Any, path: str = "") -> Iterator[str]:
    """Every key of a JSON value, as a.b or a[].b; named scores and rates by * for their names."""
    if isinstance(value, dict):
        for key, inner in value.items():
            name = "*" if path in ("tar", "liveness[].scores") else key
            here = f"{path}.{name}" if path else name
            below = set(keys(inner, here))
            yield from below or {here}
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner, f"{path}[]")


def commands(group: click.Group = cli, before: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield before + name, command
            yield from commands(command, f"{before}{name} ")
        elif not command.hidden:
            yield before + name, command


def status(line: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEFACE_GALLERY", str(tmp_path / "gallery.safetensors"))
    for name, portrait in {"ada1": "obama", "ada2": "obama3", "door": "obama2"}.items():
        shutil.copy(PORTRAITS / f"{portrait}.jpg", f"{name}.jpg")
    shutil.copy(PORTRAITS / "biden.jpg", "other.jpg")
    for name, count in {"obama": 2, "biden": 1}.items():
        (tmp_path / "lfw" / name).mkdir(parents=True)
        for number in range(1, count + 1):
            source = PORTRAITS / f"{name}{number if number > 1 else ''}.jpg"
            shutil.copy(source, f"lfw/{name}/{name}_{number:04}.jpg")
    same, other = "obama\t1\t2\n", "obama\t1\tbiden\t1\n"
    Path("pairs.txt").write_text("10\t1\n" + 10 * (same + other))
    Path("edgeface.toml").write_text("")
    return tmp_path


def test_the_page_names_every_command_and_no_other() -> None:
    assert set(table("commands")) == {name for name, _ in commands()}


def test_the_commands_with_json_are_those_that_the_page_gives_keys_for() -> None:
    found = {n for n, c in commands() if "--json" in {o for p in c.params for o in p.opts}}
    assert {name for name, keys in table("commands").items() if keys} == found - {"run"}


def test_the_keys_of_every_answer_are_those_of_the_page(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = table("commands")
    assert status("enroll bob other.jpg") == 0  # for merge
    for name, (expected, line) in RUN.items():
        capsys.readouterr()
        ended = status(f"{line} --json")
        assert ended == expected or expected is None, name
        answer = json.loads(capsys.readouterr().out)
        assert set(keys(answer)) == set(listed[name]), name


def test_exit_statuses_are_those_of_the_page(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert table("exit") == {"0": [], "1": [], "2": [], "130": []}
    assert status("enroll ada ada1.jpg") == 0
    assert status("verify ada other.jpg") == 1
    assert status("identify other.jpg") == 1
    assert status("verify nobody door.jpg") == 2
    assert status("no-such-command") == 2
    capsys.readouterr()
    assert status("verify nobody door.jpg --json") == 2
    assert set(json.loads(capsys.readouterr().out)) == {"error"}


def test_settings_are_those_of_the_page() -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(Config)}
    structs = {
        name: next(t for t in (kind, *get_args(kind)) if hasattr(t, "__struct_fields__"))
        for name, kind in fields.items()
    }
    assert {name: sorted(found) for name, found in table("settings").items()} == {
        name: sorted(struct.__struct_fields__) for name, struct in structs.items()
    }


def test_events_have_the_keys_of_the_page() -> None:
    schema = json.loads((CHECKOUT / "edgeface" / "events.schema.json").read_text())
    listed = table("events")
    assert set(listed["keys"]) == set(schema["properties"])
    assert set(listed["types"]) == set(schema["properties"]["type"]["enum"])
    assert set(listed["always"]) == set(schema["required"])


def test_a_models_description_has_the_keys_of_the_page() -> None:
    assert set(table("model")["edgeface.json"]) == set(Description.__struct_encode_fields__)


def test_the_socket_takes_the_requests_of_the_page() -> None:
    listed = table("socket")
    assert set(listed["request"]) == set(Request.__struct_fields__)
    command = next(f for f in msgspec.structs.fields(Request) if f.name == "command")
    assert set(listed["commands"]) == set(get_args(command.type))


def test_the_environment_variables_are_those_of_the_page() -> None:
    sources = "\n".join(path.read_text() for path in (CHECKOUT / "edgeface").rglob("*.py"))
    assert set(table("environment")) == set(re.findall(r"EDGEFACE_[A-Z_]+[A-Z]", sources))
