"""CSV: whatever a cell begins with, no spreadsheet calculates it."""

from __future__ import annotations

import pytest

from edgeface.history.table import as_csv, cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1"])  # noqa: RUF001
def test_a_text_that_would_be_calculated_is_quoted(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-0.25, 3, "ada", "a=b", "Ada-Lovelace"])
def test_everything_else_stays_as_it_is(value: object) -> None:
    assert cell(value) == str(value)


def test_a_line_break_or_a_quote_stays_in_its_cell() -> None:
    lines = "".join(as_csv(("a", "b"), [{"a": 'x"\n=1', "b": None, "c": "left out"}]))
    assert lines == 'a,b\r\n"x""\n=1",\r\n'
