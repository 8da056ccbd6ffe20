"""Proof that hostile lines on the control socket leave a running service as it was.

`hostile_lines` starts `edgeface run` with a socket of its own and sends it mutated requests from
several clients at once. It raises AssertionError when the service ends, stops answering, says
anything that is no JSON line, writes a traceback, or takes more than 300 MB. The tests run it
small; `make prove-socket` runs it at full size.
"""

from __future__ import annotations

import grp
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

MOST_MB = 300
_CLIENTS = 8
_PATIENCE = 1.0  # seconds for a valid request that waits for a face; it is then hung up on
_LONG = 60.0  # seconds: only ends what hangs
_REQUESTS: tuple[dict[str, object], ...] = (
    {"command": "status"},
    {"command": "identify", "within": 0.01},
    {"command": "verify", "name": "ada", "within": 0.01},
    {"command": "verify", "name": "nobody", "within": 0.01, "challenge": True},
    {"command": "enroll", "name": "eve", "within": 0.01},
    {"command": "reload"},
)
_VALUES = ("null", "-1", "1e999", "NaN", "9" * 400, '"' + "x" * 300 + '"', "[" * 900, "{}", "true")
_NAMES = ("\\u0000", "../../etc", "ada\\n", "\\ud800", "\u0430da", "\u200d", "a" * 500, "")


def line(chance: random.Random) -> bytes:
    """A request with one to three changes, or noise, or too much."""
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(6000)) + b"\n"
    text = json.dumps(chance.choice(_REQUESTS))
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text))
        match chance.randrange(6):
            case 0:
                text = text[:at] + chr(chance.randrange(1, 0x2FF)) + text[at + 1 :]
            case 1:
                text = text[:at] + text[at + chance.randint(1, 9) :] or "{"
            case 2:
                text = text[:at] + chance.choice(_VALUES) + text[at:]
            case 3:
                text = text.replace('"ada"', f'"{chance.choice(_NAMES)}"')
            case 4:
                text = text.replace("0.01", chance.choice(_VALUES))
            case _:
                text = text[:at] + text[at:] * chance.choice((2, 300))
    data = text.encode("utf-8", "surrogatepass")
    return data if chance.random() < 0.1 else data + b"\n"


def hostile_lines(folder: Path, count: int, seed: int = 0) -> str:
    """Send `count` mutated requests to a service that runs; what came of them."""
    path = folder / "control.sock"
    service = _start(folder, path)
    try:
        _wait_for(path, service)
        with ThreadPoolExecutor(_CLIENTS) as clients:
            seen = Counter(
                clients.map(lambda number: _send(path, number), range(seed, seed + count))
            )
        assert service.poll() is None, "the service has ended"
        answer = _ask(path, b'{"command": "status"}\n')
        assert answer and "frames" in json.loads(answer), answer
        status = Path(f"/proc/{service.pid}/status").read_text()
    finally:
        service.terminate()
        service.wait(_LONG)
    said = (folder / "stderr").read_text(errors="replace")
    assert "Traceback" not in said, said[-3000:]
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    assert peak < MOST_MB, f"{peak:.0f} MB"
    outcomes = ", ".join(f"{number:,} {what}" for what, number in sorted(seen.items()))
    return f"{count:,} lines: {outcomes}; {peak:.0f} MB at most"


def _start(folder: Path, path: Path) -> subprocess.Popen[bytes]:
    """The service before an empty room."""
    cv2.imwrite(str(folder / "room.png"), np.full((120, 160, 3), 90, np.uint8))
    settings = folder / "edgeface.toml"
    group = grp.getgrgid(os.getgid()).gr_name
    settings.write_text(
        f'[source]\nspec = "{folder / "room.png"}"\npace = "own"\nloop = true\n'
        f'[control]\nsocket = "{path}"\ngroup = "{group}"\n'
    )
    environment = {**os.environ, "EDGEFACE_GALLERY": str(folder / "gallery.safetensors")}
    with (folder / "stderr").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "edgeface", "run", "--config", str(settings)],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment,
        )


def _wait_for(path: Path, service: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _LONG
    while not path.exists():
        assert service.poll() is None and time.monotonic() < deadline, "the service does not start"
        time.sleep(0.05)


def _send(path: Path, number: int) -> str:
    """Send one line; 'refused', 'answered', 'hung up on' or 'left waiting'."""
    try:
        answer = _ask(path, line(random.Random(number)))
    except TimeoutError:
        return "left waiting"
    except (ConnectionResetError, BrokenPipeError):
        return "hung up on"
    if not answer:
        return "hung up on"
    answers = [json.loads(each) for each in answer.splitlines()]
    assert all(isinstance(each, dict) for each in answers), answer
    return "refused" if "error" in answers[-1] else "answered"


def _ask(path: Path, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_LONG)
        client.connect(str(path))
        client.settimeout(_PATIENCE)
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while data := client.recv(65536):
            answer += data
        return bytes(answer)


def main() -> None:
    """The proof at full size."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edgeface-proof-") as folder:
        print(f"{hostile_lines(Path(folder), 100_000)} ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
