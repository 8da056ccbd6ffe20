"""Events as JSON lines on stdout, where journald keeps them.

Takes in events, writes one line for each at once. When the reader has gone there is nobody left to
tell, so what follows is dropped.
"""

from __future__ import annotations

import os

from edgeface.events import Event, to_json
from edgeface.pipeline.pictures import Picture
from edgeface.sinks import Left, SinkError


class Lines:
    """Writes to a file descriptor, stdout by default."""

    name = "stdout"
    acts = False

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor: int | None = descriptor

    def deliver(self, event: Event, picture: Picture | None, left: Left) -> None:
        data = to_json(event) + b"\n"
        while data and self._descriptor is not None:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BrokenPipeError:
                self._descriptor = None
            except OSError as error:
                raise SinkError(f"cannot write events: {error.strerror}") from None

    def idle(self) -> float:
        return 60.0

    def close(self) -> None:
        self._descriptor = None
