"""Runs one of our commands inside the test's own process, and returns its output.

Takes in a command's `main` and its words, hands on the exit status and both streams as a shell
would see them. Starting Python and loading OpenCV and the runtime takes longer than most commands
do, so a process of its own is for what needs one: signals, start-up, a closed or full stdout. It
never leaves the environment, the log handlers or sys.stdout other than it found them.
"""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Main = Callable[[list[str]], None]


@dataclass(frozen=True)
class Outcome:
    """What a finished command left: exit status, both streams, and stdout as JSON."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


def call(
    main: Main, *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> Outcome:
    """Call `main` as its console script would, with this environment or the test's own."""
    stdout, stderr = _stream("strict"), _stream("backslashreplace")
    status = 0
    with _environment(environment), _logging(), redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
    return _outcome(status, _text(stdout), _text(stderr))


def start(
    module: str,
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    seconds: float = 600,
) -> Outcome:
    """Run `python -m module` in a process of its own; `seconds` only ends one that hangs."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=seconds,
        check=False,
    )
    return _outcome(done.returncode, done.stdout, done.stderr)


def _outcome(status: int, stdout: str, stderr: str) -> Outcome:
    assert "Traceback" not in stderr, stderr
    return Outcome(status, stdout, stderr)


def _stream(errors: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


@contextmanager
def _environment(wanted: Mapping[str, str] | None) -> Iterator[None]:
    before = dict(os.environ)
    if wanted is not None:
        _set_environment(wanted)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(wanted: Mapping[str, str]) -> None:
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)


@contextmanager
def _logging() -> Iterator[None]:
    """A fresh process logs warnings to its own stderr; pytest's handlers are set aside for that."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    try:
        yield
    finally:
        root.handlers, root.level = handlers, level
