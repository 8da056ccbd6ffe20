"""Events to a program of the owner's: one start for each, the event as JSON on its stdin.

Takes in events, starts the configured argument list, never a shell. A program that takes too long
is killed with everything it started. What it prints goes nowhere; an exit status other than 0 is
reported and not tried again, since half of what it does may be done. It inherits no secret.
"""

from __future__ import annotations

import os
import signal
import subprocess

from edgeface.events import Event, to_json
from edgeface.pipeline.pictures import Picture
from edgeface.sinks import Left, Undelivered
from edgeface.sinks.settings import ExecSettings

# Of the service's environment only this: neither keys nor the way to the credentials.
_PASSED_ON = ("HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LOGNAME", "TZ", "USER")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Program:
    """Runs one program, one event at a time."""

    name = "exec"
    acts = True

    def __init__(self, settings: ExecSettings) -> None:
        self._settings = settings

    def deliver(self, event: Event, picture: Picture | None, left: Left) -> None:
        command = list(self._settings.command)
        try:
            process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                close_fds=True,
                env=_environment(),
            )
        except OSError as error:
            raise Undelivered(
                f"cannot run {command[0]} ({error.strerror}); check [exec] command"
            ) from None
        try:
            process.communicate(to_json(event) + b"\n", timeout=float(self._settings.timeout))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise Undelivered(
                f"{command[0]} took longer than {self._settings.timeout:g} s and was killed"
            ) from None
        if process.returncode:
            raise Undelivered(f"{command[0]} ended with status {process.returncode}")

    def idle(self) -> float:
        return 60.0

    def close(self) -> None:
        """Nothing stays open between events."""


def _environment() -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed, "PATH": _PATH}
