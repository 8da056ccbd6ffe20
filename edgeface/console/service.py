"""Service: asks the running service over its control sockets, without waiting for anybody else.

Takes in requests, hands on answers and progress. It trusts the service's answers no further than
that they are shown as text.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from edgeface.console.errors import Refused, ServiceAway

_LONGEST_LINE = 8 << 20  # bytes
_PATIENCE = 30.0  # seconds
_JUDGING = 20.0  # seconds that a picture may take besides, on a slow board


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
        pictures: Sequence[bytes] = (),
        **more: Any,
    ) -> dict[str, Any]:
        """Carry out an administrative command; `via` is whom the audit log names besides us.
        `pictures` are files that the service judges, each sent when it asks for it.

        Raises ServiceAway and Refused.
        """
        request = {"command": command, "via": via, **more}
        if within is not None:
            request["within"] = within
        if pictures:
            request["pictures"] = [len(picture) for picture in pictures]
            within = _JUDGING * len(pictures)
        return await self._ask(self._admin_socket, request, progress, within, pictures)

    async def watch(self, via: str, seconds: float) -> AsyncGenerator[dict[str, Any]]:
        """What the camera sees, for so long: `picture`, a JPEG in base64, and `faces`.

        Raises ServiceAway and Refused. Who stops listening hangs up.
        """
        request = {"command": "watch", "via": via, "within": seconds}
        with _reaching(self._admin_socket):
            async with aclosing(_answers(self._admin_socket, request, _PATIENCE)) as answers:
                async for answer in answers:
                    if "progress" not in answer:
                        return
                    yield answer["progress"]

    async def _ask(
        self,
        path: Path,
        request: dict[str, Any],
        progress: Callable[[dict[str, Any]], None] | None = None,
        within: float | None = None,
        pictures: Sequence[bytes] = (),
    ) -> dict[str, Any]:
        with _reaching(path):
            async with (
                asyncio.timeout(_PATIENCE + (within or 0.0)),
                aclosing(_answers(path, request, pictures=pictures)) as answers,
            ):
                async for answer in answers:
                    if "progress" not in answer:
                        return answer
                    if progress is not None:
                        progress(answer["progress"])
        raise ServiceAway(f"the service at {path} closed without an answer; check its journal")


async def _answers(
    path: Path,
    request: dict[str, Any],
    patience: float | None = None,
    pictures: Sequence[bytes] = (),
) -> AsyncGenerator[dict[str, Any]]:
    """What the service answers, line by line, each within `patience` seconds; Refused for an error.

    It hangs up when nobody asks for more.
    """
    reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST_LINE)
    try:
        writer.write(msgspec.json.encode(request) + b"\n")
        while line := await asyncio.wait_for(reader.readline(), patience):
            answer: dict[str, Any] = msgspec.json.decode(line)
            if "error" in answer:
                raise Refused(answer)
            if pictures and (wanted := answer.get("progress", {}).get("send")):
                writer.write(pictures[wanted - 1])
                await writer.drain()
            yield answer
    finally:
        writer.transport.abort()


@contextmanager
def _reaching(path: Path) -> Iterator[None]:
    """Say how to go on where the service does not answer, or not in time."""
    try:
        yield
    except (OSError, TimeoutError, ValueError) as error:
        why = error or "it took too long"
        raise ServiceAway(
            f"no service answers at {path} ({why}); start it with: sudo systemctl start edgeface"
        ) from None
