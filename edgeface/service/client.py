"""Client: asks the running service over its control socket.

Takes in a request, hands on the answer; progress on the way goes to a callback. It opens no camera.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edgeface.errors import ConfigError, EdgeFaceError
from edgeface.service.config import SYSTEM_CONFIG, ControlSettings, load_config

_MARGIN = 5.0  # seconds beyond an attempt's own limit


class ServiceError(EdgeFaceError):
    """What the service answered when it could not do as asked."""


def socket_path() -> Path:
    """EDGEFACE_SOCKET, else the socket of the system's settings, else the usual place."""
    chosen = os.environ.get("EDGEFACE_SOCKET")
    if chosen:
        return Path(chosen)
    control = None
    if os.access(SYSTEM_CONFIG, os.R_OK):
        control = load_config(SYSTEM_CONFIG).control
    return Path((control or ControlSettings()).socket)


def ask(
    request: dict[str, Any],
    within: float = 0.0,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Send a request and wait for its answer, a little longer than `within` seconds.

    Raises ConfigError when no service answers, and ServiceError with the error that it reports.
    """
    path = socket_path()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(within + _MARGIN)
        try:
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as lines:
                for line in lines:
                    answer: dict[str, Any] = msgspec.json.decode(line)
                    if "error" in answer:
                        raise ServiceError(answer["error"])
                    if "progress" not in answer:
                        return answer
                    if progress is not None:
                        progress(answer["progress"])
        except PermissionError:
            raise ConfigError(
                f"you may not use {path}; run: sudo usermod -aG edgeface $USER, then log in again"
            ) from None
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(
                f"no service answers at {path} ({error}); start it with: sudo systemctl start "
                "edgeface"
            ) from None
    raise ConfigError(f"the service at {path} closed without an answer; check its journal")
