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


def _control() -> ControlSettings:
    """[control] as EDGEFACE_SOCKET says, else as in the system's settings, else as usual."""
    chosen = os.environ.get("EDGEFACE_SOCKET")
    if chosen:
        return ControlSettings(socket=chosen)
    control = load_config(SYSTEM_CONFIG).control if os.access(SYSTEM_CONFIG, os.R_OK) else None
    return control or ControlSettings()


def sockets() -> tuple[Path, Path]:
    """The socket for asking and that for administering."""
    control = _control()
    return Path(control.socket), control.admin_path


def socket_path(*, administering: bool = False) -> Path:
    """The socket to ask on: that for administering if it is needed, or may be used anyway, since
    the answers on it say more."""
    control = _control()
    if administering or os.access(control.admin_path, os.W_OK):
        return control.admin_path
    return Path(control.socket)


def ask(
    request: dict[str, Any],
    within: float = 0.0,
    progress: Callable[[dict[str, Any]], None] | None = None,
    *,
    administering: bool = False,
) -> dict[str, Any]:
    """Send a request and wait a little longer than `within` seconds for its answer.

    `administering` says that the request needs the right to.
    Raises ConfigError when no service answers, and ServiceError with the error that it reports.
    """
    path = socket_path(administering=administering)
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
            group = "edgeface-admin" if administering else "edgeface"
            raise ConfigError(
                f"you may not use {path}; run: sudo usermod -aG {group} $USER, then log in again"
            ) from None
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(
                f"no service answers at {path} ({error}); start it with: sudo systemctl start "
                "edgeface"
            ) from None
    raise ConfigError(f"the service at {path} closed without an answer; check its journal")
