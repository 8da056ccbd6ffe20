"""Words: the catalogue holds every word that a page uses, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra console is not installed")

import edgeface.console
from edgeface.console.interface import OUTPUTS
from edgeface.console.languages import catalogue
from edgeface.console.queries import KINDS
from edgeface.events import EVENT_TYPES
from edgeface.gallery import rules

HERE = Path(edgeface.console.__file__).parent


def used() -> set[str]:
    texts = [path.read_text() for path in (*HERE.glob("templates/*.html"), HERE / "pages.py")]
    found = set(re.findall(r"\b(?:t|say)\(\"([a-z_.]+)\"[,)]", "\n".join(texts)))
    pages = re.search(r"for path in (\(.*?\))", (HERE / "templates/base.html").read_text())
    assert pages is not None
    return (
        found
        | {f"kind.{kind}" for kind in EVENT_TYPES}
        | {f"output.{output}" for output in OUTPUTS}
        | {f"nav.{page}" for page in re.findall(r'"(\w+)"', pages[1])}
    )


def test_the_catalogue_holds_what_the_pages_use_and_no_more() -> None:
    for path in HERE.glob("words/*.toml"):
        assert set(catalogue(path.stem)) == used(), path.name


def test_the_filter_offers_every_kind_of_event() -> None:
    assert KINDS == EVENT_TYPES
    script = (HERE / "static/console.js").read_text()
    assert all(f'"{kind}"' in script for kind in EVENT_TYPES)


def test_the_form_offers_every_output_that_rules_may_name() -> None:
    assert OUTPUTS == rules.OUTPUTS


def test_no_page_has_a_script_or_a_style_of_its_own() -> None:
    for path in HERE.glob("templates/*.html"):
        text = path.read_text()
        assert not re.search(r"<style|style=|\bon\w+=|javascript:|\|safe|autoescape", text), path
        assert not re.search(r"<script(?! src=\"/static/console\.js\" defer></script>)", text), path
        assert not re.search(r"https?://|//", text), path  # nothing from elsewhere
