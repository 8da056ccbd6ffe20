"""Notify: tells systemd that the service is ready, alive, and what it does.

Takes in words, sends them to the socket that NOTIFY_SOCKET names (sd_notify(3)); without one it
does nothing. The watchdog is fed by whoever calls `alive`, which is the loop and nobody else: a
loop that hangs is a loop that systemd restarts. Before `ready` only the status is sent: systemd
watches from then on.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time

NO_PICTURE = "no picture yet"
"""What the status holds until the first picture has come."""
_STATUS_PAUSE = 5.0  # seconds between changes of the status text


class Notifier:
    """A connection to the service manager, if there is one."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        # Feeding at a third of the limit leaves room for one slow frame.
        self._pause = int(os.environ.get("WATCHDOG_USEC", "0")) / 3e6
        self._fed = self._told = 0.0
        self.is_ready = False

    def ready(self) -> None:
        """The service has started, and seen its first picture."""
        self.is_ready = True
        self._send("READY=1")

    def reloading(self) -> None:
        """The settings are being read anew; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog if it is due."""
        now = time.monotonic()
        if self.is_ready and self._pause and now - self._fed >= self._pause:
            self._fed = now
            self._send("WATCHDOG=1")

    def status(self, text: str, *, at_once: bool = False) -> None:
        """What `systemctl status` shows, sent at most every few seconds unless `at_once`."""
        now = time.monotonic()
        if at_once or now - self._told >= _STATUS_PAUSE:
            self._told = now
            self._send(f"STATUS={text}")

    def close(self) -> None:
        """Nothing more will be told."""
        self._socket.close()

    def _send(self, text: str) -> None:
        if self._address:
            # A manager that does not listen is no reason to stop watching the door.
            with contextlib.suppress(OSError):
                self._socket.sendto(text.encode(), self._address)
