"""Progress of long steps, on stderr, so that stdout stays for results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar of `total` steps; call the function that it yields after each."""
    with click.progressbar(length=total, label=what, file=sys.stderr) as shown:

        def step() -> None:
            shown.update(1)

        yield step
