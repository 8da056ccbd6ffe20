"""With --live the service decides by its own settings; options it would not heed are refused."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["verify", "ada", "--far", "0.000001"], "--far"),
        (["verify", "ada", "--gallery", "other"], "--gallery"),
        (["identify", "--fpir", "0.01"], "--fpir"),
        (["identify", "--model", "other"], "--model"),
        (["enroll", "ada", "--force"], "--force"),
        (["enroll", "ada", "--key-file", "key"], "--key-file"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(
    edgeface: Any, arguments: list[str], option: str
) -> None:
    done = edgeface(*arguments, "--live")
    assert done.status == 2
    assert f"{option} cannot be given with --live" in done.stderr


def test_without_them_the_service_is_asked(edgeface: Any) -> None:
    done = edgeface("verify", "ada", "--live")
    assert done.status == 2
    assert "cannot be given" not in done.stderr
