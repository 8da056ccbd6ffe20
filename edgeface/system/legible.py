"""Legible: names of files as text that can be printed, sent and stored.

Takes in a name as the system gives it, which may be any bytes, hands on text that is valid Unicode.
It opens nothing.
"""

from __future__ import annotations

import os


def legible(name: str | os.PathLike[str]) -> str:
    """The name, in which bytes that are no UTF-8 are written as \\xe9."""
    text = os.fspath(name)
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # no name that the system gave
        return text.encode("utf-8", "backslashreplace").decode()
