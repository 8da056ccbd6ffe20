"""Languages: a page speaks what its browser asks for, and every catalogue fits in its place."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

from edgeface.console.languages import LANGUAGES, catalogue, preferred
from tests.helpers.console import Browser, options


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_catalogue_has_the_same_keys_and_fields() -> None:
    english = catalogue()
    for language in LANGUAGES:
        words = catalogue(language)
        assert words.keys() == english.keys(), language
        for key, text in words.items():
            assert fields(text) == fields(english[key]), (language, key)
            assert text.strip()


@pytest.mark.parametrize(
    ("header", "language"),
    [
        *(("de-CH,de;q=0.9,en;q=0.8", "de"), ("zh-CN,zh;q=0.9,en-US;q=0.8", "zh"), ("en-GB", "en")),
        *(("fr-FR,fr;q=0.9,de;q=0.7,en;q=0.8", "en"), ("fr", "en"), ("", "en"), ("*", "en")),
        *(
            ("de;q=0", "en"),
            ("de;q=x,zh;q=0.1", "zh"),
            ("../../etc/passwd", "en"),
            ("de;q=nan", "en"),
        ),
        (",".join(["xx"] * 50_000) + ",de", "en"),
    ],
)
def test_the_browsers_first_wish_that_there_is_decides(header: str, language: str) -> None:
    assert preferred(header) == language


def test_a_page_is_in_the_language_that_its_browser_asks_for(tmp_path: Path) -> None:
    browser = Browser(options(tmp_path))
    german = browser.get("/login", **{"Accept-Language": "de-AT"})
    assert '<html lang="de">' in german.text
    assert "Passwort" in german.text
    chinese = browser.get("/login", **{"Accept-Language": "zh-CN"})
    assert '<html lang="zh-Hans">' in chinese.text
    assert "密码" in chinese.text
    plain = browser.client.get("/login")
    assert '<html lang="en">' in plain.text
    wrong = browser.client.post(
        "/login", data={"password": "no"}, headers={"Accept-Language": "zh"}
    )
    assert "密码不正确。" in wrong.text
