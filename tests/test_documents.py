"""Documents: the commands in README and docs work.

Commands that this machine can run are run, one document after the other, on portraits named as the
documents name their pictures; paths of the service lead into a temporary folder. Those that need a
camera, a Pi, root or hours are parsed by the command line itself.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import tomllib
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from edgeface.cli import cli, main
from edgeface.service.config import load_config
from edgeface.verifier import FaceVerifier
from tests.conftest import CHECKOUT, PORTRAITS
from tests.helpers.documents import (
    OURS,
    PROGRAMS,
    SYSTEM,
    Block,
    Example,
    blocks,
    documents,
    inline,
)

PICTURES = {"ada1.jpg": "obama.jpg", "ada2.jpg": "obama3.jpg", "door.jpg": "obama2.jpg"}
ELSEWHERE = {
    "audit": "reads what the service has written",
    "bench": "takes minutes; tests/test_bench.py runs it",
    "console": "needs the service",
    "door": "needs a hub",
    "eval": "needs LFW",
    "hub": "needs PostgreSQL",
    "history": "reads what the service has recorded",
    "reload": "needs the service",
    "run": "needs a camera",
    "service": "needs root and systemd",
    "status": "needs the service",
    "config": "reads /etc/edgeface",
}
MAKEFILE = (CHECKOUT / "Makefile").read_text()
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
DOCUMENTS = documents()
BLOCKS = {path.name: blocks(path) for path in DOCUMENTS}
COMMANDS = [example for found in BLOCKS.values() for block in found for example in block.commands()]
INLINE = [example for path in DOCUMENTS for example in inline(path)]


def runs_here(example: Example) -> bool:
    """Whether this machine can run it: ours, on pictures, with neither camera nor service, and the
    shipped model."""
    words = example.words
    if words[0] != "edgeface" or len(words) < 2:
        return False
    return words[1] not in ELSEWHERE and not {"--live", "--camera", "--model", "--service"} & set(
        words
    )


RUN_HERE = list(dict.fromkeys(example.document for example in COMMANDS if runs_here(example)))
"""The documents with a command that this machine can run."""


def with_blocks(language: str) -> list[Block]:
    return [block for found in BLOCKS.values() for block in found if block.language == language]


def parse(words: list[str]) -> None:
    """Let click judge a whole command line without running it. UsageError if it is wrong."""
    command: click.Command = cli
    if words[0] == "convert-model":
        from edgeface_tools.cli.convert_model import cli as tool

        command = tool
        if words[1] not in tool.commands:  # a source: convert is what is meant
            words = [words[0], "convert", *words[1:]]
    if words[0] == "train-triplet":
        from edgeface_tools.cli.train_triplet import cli as trainer

        command = trainer
    context: click.Context | None = None
    rest = words[1:]
    while isinstance(command, click.Group):
        context = click.Context(command, info_name=words[0], parent=context)
        options = [name for option in command.params for name in option.opts]
        while rest and rest[0] in (*options, "--help"):
            rest = rest[1:]
        if not rest:
            return
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
    command.make_context(words[0], rest, parent=context)


@pytest.mark.parametrize("example", COMMANDS, ids=str)
def test_a_command_in_a_block_is_one_that_exists(example: Example) -> None:
    words = example.words
    assert words[0] in PROGRAMS, f"{words[0]} is not a program that the guides may name"
    check_words(words)
    if words[0] == "edgeface" or (words[0] in OURS and find_spec("h5py")):
        try:
            parse(words)
        except click.BadParameter as error:
            # A file of the reader's that is not here; any other wrong value is the document's.
            assert "does not exist" in error.format_message(), error.format_message()


@pytest.mark.parametrize("example", INLINE, ids=str)
def test_a_command_in_the_text_has_these_subcommands_and_options(example: Example) -> None:
    words = [word.rstrip(".,;:") for word in example.words]
    check_words(words)
    if words[0] != "edgeface":
        return
    command: click.Command = cli
    context = click.Context(cli)
    for word in words[1:]:
        if isinstance(command, click.Group) and not word.startswith("-") and word.islower():
            found = command.get_command(context, re.split(r"[|]", word)[0])
            assert found is not None, f"edgeface has no command {word}"
            command = found
        elif word.startswith("--") and word not in ("--help", "--version"):
            assert word in {name for option in command.params for name in option.opts}, word


def check_words(words: list[str]) -> None:
    """Targets of make, extras and files of pip, and scripts of Python are there."""
    if words[0] == "make":
        for target in (word for word in words[1:] if "=" not in word and not word.startswith("-")):
            assert re.search(rf"^{re.escape(target)}:", MAKEFILE, re.M), f"no target {target}"
    elif words[0] in ("pip", "python", "python3"):
        for before, word in itertools.pairwise(words):
            extra = re.fullmatch(r"(?:\.|edgeface)\[(\w+)\]", word)
            if extra:
                assert extra[1] in PROJECT["optional-dependencies"], word
            elif before in ("-r", "--requirement") or word.endswith(".py"):
                assert (CHECKOUT / word).is_file(), word


@pytest.mark.parametrize("document", RUN_HERE)
def test_the_commands_of_a_document_work_in_their_order(
    document: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    examples = [one for one in COMMANDS if one.document == document and runs_here(one)]
    for name in ("EDGEFACE_GALLERY", "EDGEFACE_GALLERY_KEY", "EDGEFACE_GALLERY_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    for name, portrait in PICTURES.items():
        shutil.copy(PORTRAITS / portrait, name)
    if document == "security.md":
        (tmp_path / "gallery-key").write_text("00" * 32)
        (tmp_path / "gallery-key").chmod(0o600)
        assert status("edgeface", "enroll", "ada", "ada1.jpg") == 0
    if document == "raspberry-pi.md":
        begin = [one.text for one in examples].index(
            "sudo edgeface enroll ada /var/tmp/ada1.jpg /var/tmp/ada2.jpg "
            "--gallery /var/lib/edgeface/gallery.safetensors"
        )
        examples = (
            examples[begin:] + examples[:begin]
        )  # before it the people come through the camera
    for one in examples:
        if one.words[1] == "import":  # on the new card there is nobody yet
            shutil.rmtree(tmp_path / "service")
        words = [word.replace("/var/lib/edgeface/", f"{tmp_path}/service/") for word in one.words]
        words = [word.replace("/var/tmp/", f"{tmp_path}/") for word in words]  # noqa: S108
        capsys.readouterr()
        allowed = (0, 1) if words[1] == "doctor" else (0,)  # no camera here, and it says so
        assert status(*words) in allowed, f"{one}\n{capsys.readouterr().err}"


def status(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words[1:]))
    return int(ended.value.code or 0)


@pytest.mark.parametrize("block", with_blocks("toml"), ids=lambda block: f"{block.document}")
def test_settings_in_the_documents_are_accepted(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "edgeface.toml"
    path.write_text(block.text)
    load_config(path)


@pytest.mark.parametrize("block", with_blocks("python"), ids=lambda block: f"{block.document}")
def test_python_in_the_documents_runs(
    block: Block,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("EDGEFACE_GALLERY", raising=False)
    for name, portrait in PICTURES.items():
        shutil.copy(PORTRAITS / portrait, name)
    FaceVerifier().enroll("ada", ["ada1.jpg"])
    shutil.copy("edgeface/gallery.safetensors", "gallery.safetensors")
    scope: dict[str, object] = {}
    exec(compile(block.text, block.document, "exec"), scope)  # noqa: S102 (our own documents)
    assert "ada" in capsys.readouterr().out + str(scope.get("names"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_a_wrong_command_would_be_noticed() -> None:
    with pytest.raises(click.UsageError):
        parse(["edgeface", "verify", "ada", "door.jpg", "--threshhold", "1"])
    with pytest.raises(click.UsageError):
        parse(["edgeface", "enrol", "ada"])
    with pytest.raises(AssertionError):
        check_words(["make", "coffee"])


def test_nearly_every_system_program_is_in_use() -> None:
    """The list of known programs must not grow to hide a slip."""
    used = {example.words[0] for example in COMMANDS}
    texts = "\n".join(path.read_text() for path in DOCUMENTS)
    assert [name for name in SYSTEM if name not in used and name not in texts] == []


def test_make_says_what_it_would_do() -> None:
    for target in ("demo", "test"):
        done = subprocess.run(
            ["make", "--dry-run", target],  # noqa: S607
            cwd=CHECKOUT,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


# Cells of the threat model that no test can hold: there is nothing to defend, or they say so.
UNDEFENDED = {
    "it reads them",
    "it decides",
    "only its own credentials",
    "the token's hash is kept",
    "its own alone",
    "it signals and traces nobody",
    "not protected: they are on the card",
    "not protected: a package is signed and not encrypted",
    "no secret is in it",
    "the doors' tokens are kept as hashes",
}


def test_every_cell_of_the_threat_model_names_tests_that_exist() -> None:
    page = (CHECKOUT / "docs" / "security.md").read_text()
    marked = re.search(r"<!-- threats -->(.*?)<!-- /threats -->", page, re.S)
    assert marked is not None
    named = set(re.findall(r"`(test_\w+)`", marked[1]))
    there = {
        name
        for path in (CHECKOUT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    assert len(named) > 10
    assert named <= there
    head, _, *rows = [row.strip("|").split("|") for row in marked[1].strip().splitlines()]
    for number, row in enumerate(rows):
        assert len(row) == len(head), row
        for place, cell in enumerate(each.strip() for each in row[1:]):
            above, beside = rows[number - 1][1 + place], "".join(row[1 : 1 + place])
            meant = {"as above": above if number else "", "the same": beside}.get(cell, cell)
            held = "`test_" in meant or meant.strip() in {"as above", "-"} or cell in UNDEFENDED
            assert held, f"{row[0]}, {head[1 + place]}: {cell}"
