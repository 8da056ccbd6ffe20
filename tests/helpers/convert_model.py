"""Calls `convert-model` for the tests."""

from __future__ import annotations

from pathlib import Path

from edgeface_tools.cli.convert_model import main
from tests.helpers.command import Outcome, call


def convert_model(*arguments: str | Path) -> Outcome:
    return call(main, *arguments)


def refused(*arguments: str | Path) -> str:
    outcome = convert_model(*arguments)
    assert outcome.status == 2
    (line,) = [text for text in outcome.stderr.splitlines() if text.startswith("convert-model: ")]
    return line
