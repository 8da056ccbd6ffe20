"""Control: the Unix socket through which other programs ask the running service.

Takes in connections that send one JSON object and a line's end, hands requests to the desk, and
sends its answers back, each as one JSON line. One thread serves all; a client that is slow, sends
nonsense or too much is told so or dropped, and never keeps the loop waiting.
"""

from __future__ import annotations

import contextlib
import grp
import logging
import os
import select
import selectors
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from edgeface.errors import ConfigError
from edgeface.service.attempts import Answer
from edgeface.service.desk import Request
from edgeface.system.closing import Closing
from edgeface.system.threads import Worker

_log = logging.getLogger("edgeface.control")
_MOST_CLIENTS = 16
_LONGEST_REQUEST = 4096  # bytes
_MOST_UNREAD = 65536  # bytes of answers that a client may leave unread
_TO_ASK = 2.0  # seconds that a client may take to send its request
_TO_READ = 2.0  # seconds that a client may take to read its last answer
_TICK = 0.25

_decoder = msgspec.json.Decoder(Request)

Submit = Callable[[Request, "Client"], None]


class Client:
    """One connection: asks once, is told answers by the loop's thread."""

    def __init__(self, connection: socket.socket, wake: Callable[[], None]) -> None:
        self.connection = connection
        self._wake = wake
        self.asked = b""
        self.gone = False
        self.answered = False  # nothing more will be told
        self.half_closed = False  # asked all it had to ask, and still listens
        self.deadline: float | None = time.monotonic() + _TO_ASK
        self._unsent = bytearray()
        self._lock = threading.Lock()

    def tell(self, answer: Answer, *, last: bool) -> None:
        """Queue an answer; for any thread."""
        with self._lock:
            if self.gone:
                return
            self._unsent += msgspec.json.encode(answer) + b"\n"
            if len(self._unsent) > _MOST_UNREAD:
                self.gone = True
            if last:
                self.answered, self.deadline = True, time.monotonic() + _TO_READ
        self._wake()

    @property
    def unsent(self) -> bool:
        """Whether an answer waits to be sent."""
        return bool(self._unsent)

    def send(self) -> None:
        """Send what the client takes without waiting; OSError when it has gone."""
        with self._lock:
            if self._unsent:
                del self._unsent[: self.connection.send(self._unsent)]


class ControlServer(Closing):
    """A listening socket and its clients."""

    def __init__(self, path: Path, group: str, submit: Submit) -> None:
        self._path, self._submit = path, submit
        self._listener = _listen(path, group)
        self._awake, self._waker = socket.socketpair()
        for end in (self._awake, self._waker):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._awake, selectors.EVENT_READ)
        self._clients: dict[int, Client] = {}
        self._worker = Worker("control", self._serve)

    def close(self) -> None:
        """Send the last answers, then end; the socket's file goes."""
        self._worker.stopping.set()
        self._wake()
        if self._worker.close():
            for client in list(self._clients.values()):
                with contextlib.suppress(OSError):
                    client.send()
                self._drop(client)
            self._selector.close()
            for each in (self._listener, self._awake, self._waker):
                each.close()
        self._path.unlink(missing_ok=True)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def _serve(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            for key, _ in self._selector.select(_TICK):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._awake:
                    with contextlib.suppress(OSError):
                        self._awake.recv(4096)
                else:
                    self._hear(self._clients[key.fd])
            for client in list(self._clients.values()):
                self._go_on(client)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # it has gone again
        if len(self._clients) >= _MOST_CLIENTS:
            connection.close()
            return
        connection.setblocking(False)
        self._clients[connection.fileno()] = Client(connection, self._wake)
        self._selector.register(connection, selectors.EVENT_READ)

    def _hear(self, client: Client) -> None:
        try:
            data = client.connection.recv(_LONGEST_REQUEST + 1)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            client.half_closed = True
            self._selector.unregister(client.connection)  # its end would be heard for ever
            if client.deadline is not None and not client.answered:
                client.asked += b"\n"
                self._ask(client)
        elif client.deadline is None or client.answered:
            client.gone = True  # one question a connection
        else:
            client.asked += data
            self._ask(client)

    def _ask(self, client: Client) -> None:
        line, end, _ = client.asked.partition(b"\n")
        if len(line) > _LONGEST_REQUEST:
            client.tell({"error": f"a request has at most {_LONGEST_REQUEST} bytes"}, last=True)
        elif end:
            try:
                request = _decoder.decode(line)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                client.tell({"error": f"this is no request: {error}"}, last=True)
            else:
                client.deadline = None  # from here on it is the loop's turn
                self._submit(request, client)

    def _go_on(self, client: Client) -> None:
        try:
            client.send()
        except BlockingIOError:
            pass  # the next tick tries again
        except OSError:
            client.gone = True
        if client.half_closed and _hung_up(client.connection):
            client.gone = True  # nobody waits any more, which ends a live attempt, too
        late = client.deadline is not None and time.monotonic() > client.deadline
        if client.gone or late or (client.answered and not client.unsent):
            self._drop(client)

    def _drop(self, client: Client) -> None:
        client.gone = True
        self._clients.pop(client.connection.fileno(), None)
        with contextlib.suppress(KeyError):
            self._selector.unregister(client.connection)
        client.connection.close()


def _hung_up(connection: socket.socket) -> bool:
    """Whether the other side has closed entirely, not only finished asking."""
    poll = select.poll()
    poll.register(connection, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def _listen(path: Path, group: str) -> socket.socket:
    """A socket at `path` for its owner and `group`; one left by a dead service is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        if path.is_socket() and _answers(path):
            raise ConfigError(
                f"another edgeface service listens at {path}; stop it first, or choose another "
                "[control] socket"
            )
        # Under another name until it is ready: whoever sees it can use it.
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listener.bind(str(fresh))
        finally:
            os.umask(before)
        _give_to(fresh, group)
        fresh.chmod(0o660)
        listener.listen(_MOST_CLIENTS)
        fresh.replace(path)
    except OSError as error:
        listener.close()
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"cannot listen at {path} ({error.strerror or error})") from None
    listener.setblocking(False)
    return listener


def _give_to(path: Path, group: str) -> None:
    try:
        wanted = grp.getgrnam(group).gr_gid
    except KeyError:
        _log.warning("there is no group %s: only the service's user can use %s", group, path)
        return
    if path.stat().st_gid != wanted:
        try:
            os.chown(path, -1, wanted)
        except PermissionError:
            _log.warning("cannot give %s to the group %s", path, group)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
