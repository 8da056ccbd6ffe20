"""A real Chromium without a window, driven over a pipe by the DevTools protocol.

Takes in addresses, expressions in JavaScript and files for a form, hands on what the page holds and
pictures of it. It needs no driver and opens no port; the browser is the system's own or the one
that `make servers` brings (tests/helpers/servers.py).
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tests.helpers import servers

_LONGEST = 60.0  # seconds for anything, on a busy machine
# The browser reads commands at descriptor 3 and answers at 4.
_PIPES = 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null'
_CHOICES = (
    "--remote-debugging-pipe",
    "--no-sandbox",  # the tests run as root in containers, and open pages of our own only
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--lang=en",
)


class Page:
    """The one page of a browser. What the page throws or its policy blocks is in `complaints`."""

    def __init__(self, commands: IO[bytes], answers: IO[bytes]) -> None:
        self._commands, self._answers = commands, answers
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self._waiting = b""
        self._loads = 0
        self.complaints: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> Any:
        """Give a command and wait for its result; AssertionError says why there is none."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (answer := self._read()).get("id") != number:
            pass
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        deadline = time.monotonic() + _LONGEST
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._answers], [], [], deadline - time.monotonic())
            assert ready, "the browser does not answer"
            data = os.read(self._answers.fileno(), 1 << 20)
            assert data, "the browser has ended"
            self._waiting += data
        line, _, self._waiting = self._waiting.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        match message.get("method"):
            case "Page.loadEventFired":
                self._loads += 1
            case "Runtime.exceptionThrown":
                self.complaints.append(str(message["params"]["exceptionDetails"]))
            case "Log.entryAdded" if message["params"]["entry"]["level"] == "error":
                self.complaints.append(str(message["params"]["entry"]))
        return message

    def _loaded(self, before: int) -> None:
        while self._loads == before:
            self._read()

    def open(self, address: str) -> None:
        """Go to an address and wait until the page is whole."""
        before = self._loads
        answer = self.send("Page.navigate", url=address)
        assert "errorText" not in answer, answer
        self._loaded(before)

    def click(self, selector: str) -> None:
        """Click on an element that leads to another page, and wait until that is whole."""
        before = self._loads
        self.run(f"document.querySelector({json.dumps(selector)}).click()")
        self._loaded(before)

    def run(self, expression: str) -> Any:
        """What an expression gives, waited for where it is a promise."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def fill(self, selector: str, text: str) -> None:
        """Put text into a field, as typing does."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.send("Input.insertText", text=text)

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in a form."""
        found = self.send(
            "Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})"
        )
        self.send(
            "DOM.setFileInputFiles",
            files=[str(path) for path in files],
            objectId=found["result"]["objectId"],
        )

    def text(self) -> str:
        """What a reader sees of the page."""
        return str(self.run("document.body.innerText"))

    def until(self, selector: str) -> None:
        """Wait until the page, which may renew itself, holds an element."""
        deadline = time.monotonic() + _LONGEST
        while not self.run(f"!!document.querySelector({json.dumps(selector)})"):
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)

    def width(self, pixels: int) -> None:
        """Be as wide as a phone or a screen."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=pixels,
            height=844,
            deviceScaleFactor=1,
            mobile=False,
        )

    def picture(self, path: Path) -> None:
        """Keep what the page looks like, as a PNG file."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """A page of a browser that keeps its own files in `folder`.

    Where there is no browser the test is skipped, and fails where CI is true.
    """
    program = servers.required("chromium-headless-shell")
    if program.startswith(str(servers.ROOT)):  # a script there names a place that needs root
        program = str(servers.ROOT / "usr/lib/chromium/chromium-headless-shell")
    with subprocess.Popen(
        ["/bin/sh", "-c", _PIPES, program, *_CHOICES, f"--user-data-dir={folder / 'profile'}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**servers.environment(), "HOME": str(folder)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Page(process.stdin, process.stdout)
        finally:
            process.kill()
            with suppress(BrokenPipeError):  # of what was not sent any more
                process.stdin.close()
