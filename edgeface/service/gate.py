"""Gate: tells the sandboxed service who is administering it.

In the service's user namespace (PrivateUsers= of its unit) every other user is "nobody", so the
service cannot say who enrolled or removed somebody. This process has no such namespace and nothing
else: no camera, no gallery, no network, no secret. It takes in connections on the socket for
administering, and hands each on to the service's own socket after one line that says who it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path

import msgspec

from edgeface.service.config import ControlSettings
from edgeface.service.listening import listen, until_hung_up
from edgeface.service.peers import Peer, peer_of

_log = logging.getLogger("edgeface.gate")
_PIECE = 65536  # bytes
_LONGEST_PEER = 1 << 16  # bytes of the line about a peer
_MOST_CLIENTS = 32


async def introduced(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Peer | None:
    """The peer that the gate names in its first line; None if that was not the gate.

    The gate runs as the service's own user, which the kernel vouches for also in a namespace.
    """
    if peer_of(writer.get_extra_info("socket")).uid != os.geteuid():
        return None
    try:
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = await reader.readexactly(1)
            line += byte
            if len(line) > _LONGEST_PEER:
                return None
        return msgspec.json.decode(line, type=Peer)
    except (asyncio.IncompleteReadError, msgspec.MsgspecError, ValueError):
        return None


def serve_gate(settings: ControlSettings, service: Path) -> None:
    """Pass connections to `service`, the service's socket for the gate, until SIGTERM."""
    asyncio.run(_serve(settings, service))


async def _serve(settings: ControlSettings, service: Path) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    clients = asyncio.Semaphore(_MOST_CLIENTS)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with clients:
            await _pass_on(reader, writer, settings.admin_group, service)

    path = settings.admin_path
    server = await asyncio.start_unix_server(accept, sock=listen(path, settings.admin_group))
    async with server:
        await stopping.wait()
    path.unlink(missing_ok=True)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, group: str, service: Path
) -> None:
    try:
        peer = peer_of(writer.get_extra_info("socket"))
        if not peer.may_administer(group):
            _log.warning("%s may not administer", peer)
            return
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(service))
        try:
            inner_writer.write(msgspec.json.encode(peer) + b"\n")
            await _relay((reader, inner_writer), (inner_reader, writer))
        finally:
            inner_writer.transport.abort()
    except OSError as error:
        _log.warning("cannot reach the service: %s", error)
    finally:
        writer.close()


async def _relay(
    asking: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    answering: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Until the service has hung up, or the client entirely; what the client has sent when it
    stops sending goes on to be answered."""
    ask, answer = (asyncio.ensure_future(_copy(*pair)) for pair in (asking, answering))
    gone = asyncio.ensure_future(until_hung_up(answering[1]))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (ask, answer, gone):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await task


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
