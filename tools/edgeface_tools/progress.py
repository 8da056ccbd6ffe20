"""Progress of long steps, on stderr, so that stdout stays for results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar of `total` steps; call what it gives after each."""
    with tqdm(total=total, desc=what, file=sys.stderr, ncols=79, unit="") as shown:

        def step() -> None:
            shown.update()

        yield step
