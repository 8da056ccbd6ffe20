"""Table: events and attendance as CSV for a spreadsheet, in which no cell is a formula.

Takes in dictionaries, hands on lines of text. A name such as "=HYPERLINK(...)" stays text wherever
the file is opened.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

EVENT_COLUMNS = (
    *("time", "type", "name", "score", "threshold", "liveness", "source", "message", "track", "id"),
)
ATTENDANCE_COLUMNS = ("day", "name", "first", "last", "times")
# What spreadsheets take for the beginning of a formula, also in East Asian width.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def as_csv(columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The header, then one line for each row; keys that are no column are left out."""
    yield _line(columns)
    for row in rows:
        yield _line([cell(row.get(column)) for column in columns])


def cell(value: Any) -> str:
    """A value as the text of a cell, which no spreadsheet calculates."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
