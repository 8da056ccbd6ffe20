"""Chatter: what libraries written in C print on stderr, and have no switch for.

Takes in nothing, hands on a context in which file descriptor 2 leads nowhere. What is wrong comes
as an exception all the same. It does so in the main thread alone: while a camera's thread decodes,
others of the service may have something to log.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_chatter() -> Iterator[None]:
    """Keep libraries off stderr until the end of the block, where this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
