"""Chatter: what libraries written in C print on stderr, and have no switch for.

Takes in nothing, hands on a context in which file descriptor 2 leads elsewhere, and what was
printed there meanwhile. While one thread decodes, another may have something to log: what is not
known to be a decoder's is printed afterwards, unless this is the main thread, whose own it is.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ONE_AT_A_TIME = threading.RLock()  # descriptor 2 is the whole process's
_MOST = 1 << 20  # bytes that are read back
# How lines of libraries begin: libjpeg, libpng, libtiff, FFmpeg, OpenCV and LiteRT in turn.
_DECODERS = re.compile(
    rb"Corrupt JPEG|Premature end|Inconsistent|Invalid SOS|Invalid crop|Unknown Adobe|Application "
    rb"transferred|Caution: quant|Warning: unknown JFIF|Unsupported marker|Unexpected marker"
    rb"|libpng|TIFF|ZIP|LZW|\[[\w,:/. -]+ @ 0x|\[ ?(?:ERROR|WARN|INFO|DEBUG):\d|OpenCV:"
    rb"|INFO: (?:Created|Applying)"
)


class Chatter:
    """What was printed within the block, once it has ended."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []


@contextmanager
def overheard() -> Iterator[Chatter]:
    """Keep what libraries print off stderr until the end of the block, and hand it on."""
    chatter = Chatter()
    with _ONE_AT_A_TIME:
        sys.stderr.flush()
        saved, heard = os.dup(2), os.memfd_create("chatter")
        try:
            os.dup2(heard, 2)
            yield chatter
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            said = os.pread(heard, _MOST, 0)
            os.close(heard)
            chatter.lines = said.splitlines(keepends=True)
            if threading.current_thread() is not threading.main_thread():
                _print_others(chatter)


def _print_others(chatter: Chatter) -> None:
    """Print what another thread had to say."""
    others = [line for line in chatter.lines if not _DECODERS.match(line)]
    if others:
        os.write(2, b"".join(others))
