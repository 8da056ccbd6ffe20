"""Control: the Unix sockets through which other programs ask the running service.

Takes in connections that send one JSON object and a line feed, hands requests to the desk, and
sends its answers back, each as one JSON line. There is one socket for asking and one for
administering; who may use the second is checked against what the kernel says about the peer. One
thread serves all clients; a slow one, or one that sends nonsense or too much, gets an error or is
dropped, and never keeps the service's loop waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from edgeface.errors import ConfigError
from edgeface.service.attempts import Answer
from edgeface.service.config import ControlSettings
from edgeface.service.desk import Request
from edgeface.service.gate import introduced
from edgeface.service.listening import TICK, listen, until_hung_up
from edgeface.service.peers import Peer, peer_of
from edgeface.service.uploads import Delivery
from edgeface.system.closing import Closing
from edgeface.system.threads import Worker

_log = logging.getLogger("edgeface.control")
_MOST_CLIENTS = 16  # of each socket
_LONGEST_REQUEST = 4096  # bytes
_MOST_UNREAD = 65536  # bytes of progress that a client may leave unread
_TIME_TO_ASK = 2.0  # seconds that a client may take to send its request
_TIME_TO_READ = 2.0  # seconds that a client may take to read its last answer

_decoder = msgspec.json.Decoder(Request)

Submit = Callable[[Request, "Client"], None]


class Client:
    """One connection: sends one request, and gets its answers from the service's loop."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        peer: Peer,
        administers: bool,
    ) -> None:
        self.peer, self.administers = peer, administers
        self.gone = False
        self.delivery: Delivery | None = None
        self._reader, self._writer = reader, writer
        self._loop = asyncio.get_running_loop()
        self._answered = asyncio.Event()

    def reply(self, answer: Answer, *, last: bool) -> None:
        """Queue an answer; for any thread."""
        line = msgspec.json.encode(answer) + b"\n"
        with contextlib.suppress(RuntimeError):  # the server has been closed
            self._loop.call_soon_threadsafe(self._write, line, last)

    def _write(self, line: bytes, last: bool) -> None:
        if self.gone:
            return
        self._writer.write(line)
        if last:
            self._answered.set()
        elif self._writer.transport.get_write_buffer_size() > _MOST_UNREAD:
            self._hang_up()

    async def serve(self, submit: Submit) -> None:
        """From the request to the last answer; the connection is closed at the end."""
        try:
            if await self._ask(submit):
                await self._take_pictures()
                await self._until_answered_or_gone()
            async with asyncio.timeout(_TIME_TO_READ):
                if not self.gone:
                    self._writer.transport.set_write_buffer_limits(high=0)
                    await self._writer.drain()
                    self._writer.close()
                    await self._writer.wait_closed()
        except (OSError, TimeoutError):
            pass
        finally:
            self._hang_up()

    async def _ask(self, submit: Submit) -> bool:
        """Read the request and hand it in; whether somebody waits for an answer to it."""
        try:
            async with asyncio.timeout(_TIME_TO_ASK):
                line = await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            line = error.partial  # the end of the input ends the line, too
            if not line:
                return False
        except asyncio.LimitOverrunError:
            self._write_error(f"a request has at most {_LONGEST_REQUEST} bytes")
            return False
        try:
            request = _decoder.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._write_error(f"this is no request: {error}")
            return False
        if request.pictures and self.administers:  # nobody else's are read
            self.delivery = Delivery(request.pictures)
        submit(request, self)
        return True

    def _write_error(self, sentence: str) -> None:
        self._write(msgspec.json.encode({"error": sentence}) + b"\n", last=True)

    async def _take_pictures(self) -> None:
        """Read the pictures that are asked for, until they are all there or there is an answer."""
        if self.delivery is None:
            return
        answered = asyncio.ensure_future(self._answered.wait())
        pictures = asyncio.ensure_future(self.delivery.receive(self._reader))
        gone = asyncio.ensure_future(until_hung_up(self._writer))
        try:
            await asyncio.wait({answered, pictures, gone}, return_when=asyncio.FIRST_COMPLETED)
            failed = pictures.done() and pictures.exception() is not None
            if failed or not (answered.done() or pictures.done()):
                self._hang_up()
        finally:
            for task in (answered, pictures, gone):
                task.cancel()

    async def _until_answered_or_gone(self) -> None:
        """Wait for the last answer; `gone` is set as soon as nobody waits for it any more, which
        also ends a live attempt."""
        answered = asyncio.ensure_future(self._answered.wait())
        more = asyncio.ensure_future(self._reader.read(1))
        try:
            await asyncio.wait({answered, more}, return_when=asyncio.FIRST_COMPLETED)
            if more.done() and not answered.done() and more.result():
                self._hang_up()  # one request a connection
            if not self.gone and not answered.done():
                gone = asyncio.ensure_future(until_hung_up(self._writer))
                await asyncio.wait({answered, gone}, return_when=asyncio.FIRST_COMPLETED)
                gone.cancel()
                if not answered.done():
                    self._hang_up()
        finally:
            answered.cancel()
            more.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await more

    def _hang_up(self) -> None:
        self.gone = True
        self._writer.transport.abort()


class ControlServer(Closing):
    """The listening sockets and their clients, served by a thread."""

    def __init__(self, settings: ControlSettings, submit: Submit, gate: Path | None = None) -> None:
        """`submit` takes in a request and its client, from the server's thread. Where a gate
        listens for administrators, `gate` is where it passes them on."""
        self._settings, self._submit, self._gate = settings, submit, gate
        self._paths = [Path(settings.socket), gate or settings.admin_path]
        self._listeners = [listen(self._paths[0], settings.group)]
        try:
            self._listeners.append(listen(self._paths[1], None if gate else settings.admin_group))
        except ConfigError:
            self._end_listening()
            raise
        # By whether they came to the socket for administering: askers cannot crowd it out.
        self._clients: dict[bool, set[asyncio.Task[None]]] = {False: set(), True: set()}
        self._worker = Worker("control", lambda stopping: asyncio.run(self._serve(stopping)))

    def close(self) -> None:
        """Send the last answers, then end; the sockets' files are removed."""
        self._worker.close(_TIME_TO_READ + 1.0)
        self._end_listening()

    def _end_listening(self) -> None:
        for path, listener in zip(self._paths, self._listeners, strict=False):
            listener.close()
            path.unlink(missing_ok=True)

    async def _serve(self, stopping: threading.Event) -> None:
        servers = [
            await asyncio.start_unix_server(accept, sock=listener, limit=_LONGEST_REQUEST)
            for accept, listener in zip(
                (self._serve_asker, self._serve_administrator), self._listeners, strict=True
            )
        ]
        while not stopping.is_set():
            await asyncio.sleep(TICK)
        for server in servers:
            server.close()
        if clients := self._clients[False] | self._clients[True]:
            # Each has its last answer already, since the desk is closed first.
            await asyncio.wait(clients, timeout=_TIME_TO_READ)

    async def _serve_asker(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self._serve_client(reader, writer, administering=False)

    async def _serve_administrator(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await self._serve_client(reader, writer, administering=True)

    async def _serve_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, administering: bool
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (a coroutine that runs is a task's)
        try:
            peer = await self._peer(reader, writer, administering)
        except (OSError, TimeoutError):
            peer = None
        if peer is None:
            writer.transport.abort()  # it has gone again, or cannot be known
            return
        clients = self._clients[administering]
        if len(clients) >= _MOST_CLIENTS:
            writer.transport.abort()
            return
        allowed = administering and peer.may_administer(self._settings.admin_group)
        clients.add(task)
        try:
            await Client(reader, writer, peer, allowed).serve(self._submit)
        finally:
            clients.discard(task)

    async def _peer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, administering: bool
    ) -> Peer | None:
        if administering and self._gate is not None:
            async with asyncio.timeout(_TIME_TO_ASK):
                return await introduced(reader, writer)
        return peer_of(writer.get_extra_info("socket"))
