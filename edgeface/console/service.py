"""Service: asks the running service over its control sockets, without waiting for anybody else.

Takes in requests, hands on answers and progress. It trusts the service's answers no further than
that they are shown as text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edgeface.console.errors import Refused, ServiceAway

_LONGEST_LINE = 8 << 20  # bytes
_PATIENCE = 30.0  # seconds


class ServiceSockets:
    """Both sockets of one service."""

    def __init__(self, socket: Path, admin_socket: Path) -> None:
        self._socket, self._admin_socket = socket, admin_socket

    async def status(self) -> dict[str, Any]:
        """What the service does."""
        return await self._ask(self._socket, {"command": "status"})

    async def administer(
        self,
        command: str,
        via: str,
        progress: Callable[[dict[str, Any]], None] | None = None,
        within: float | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Carry out an administrative command; `via` is whom the audit log names besides us.

        Raises ServiceAway and Refused.
        """
        request = {"command": command, "via": via, **more}
        if within is not None:
            request["within"] = within
        return await self._ask(self._admin_socket, request, progress, within)

    async def _ask(
        self,
        path: Path,
        request: dict[str, Any],
        progress: Callable[[dict[str, Any]], None] | None = None,
        within: float | None = None,
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_PATIENCE + (within or 0.0)):
                reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST_LINE)
                try:
                    writer.write(msgspec.json.encode(request) + b"\n")
                    while line := await reader.readline():
                        answer: dict[str, Any] = msgspec.json.decode(line)
                        if "error" in answer:
                            raise Refused(answer["error"])
                        if "progress" not in answer:
                            return answer
                        if progress is not None:
                            progress(answer["progress"])
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError, ValueError) as error:
            raise ServiceAway(
                f"no service answers at {path} ({error or 'it took too long'}); start it with: "
                "sudo systemctl start edgeface"
            ) from None
        raise ServiceAway(f"the service at {path} closed without an answer; check its journal")
