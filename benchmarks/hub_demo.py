"""One hub, three doors at two sites: who is registered at one door opens the other.

    make hub-demo

Brings a PostgreSQL of its own, starts the hub as a process, and runs the commands of docs/fleet.md
on shipped portraits, each with what came of it and the seconds that it took. At the end the hub is
killed, and the doors go on. It leaves nothing behind.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edgeface.demo.decisions import PORTRAITS
from tests.helpers.command import Outcome, start
from tests.helpers.postgres import running

Run = Callable[..., Outcome]
DOORS = {"front": "Berlin", "back": "Berlin", "gate": "Hamburg"}


@dataclass
class Demo:
    """What the steps share: a folder, the hub's environment, and how a command is run."""

    folder: Path
    database: str
    run: Run
    steps: list[str] = field(default_factory=list)

    def hub(self, *words: str | Path) -> Outcome:
        return self._done("hub", *words, environment=self.hub_environment)

    def door(self, name: str, *words: str | Path, expected: int = 0) -> Outcome:
        return self._done(*words, environment=self._door_environment(name), expected=expected)

    @property
    def hub_environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "EDGEFACE_HUB_DATABASE": self.database,
            "EDGEFACE_HUB_KEY_FILE": str(self.folder / "hub.key"),
        }

    def _door_environment(self, name: str) -> dict[str, str]:
        gallery = self.folder / name / "gallery.safetensors"
        return {**os.environ, "EDGEFACE_GALLERY": str(gallery)}

    def _done(self, *words: str | Path, environment: dict[str, str], expected: int = 0) -> Outcome:
        outcome = self.run(*words, environment=environment)
        assert outcome.status == expected, outcome.stderr
        return outcome

    def opens(self, name: str) -> bool:
        """Whether a door recognizes Obama in another portrait of him."""
        outcome = self.run(
            "identify",
            PORTRAITS / "obama2.jpg",
            "--json",
            environment=self._door_environment(name),
        )
        return bool(outcome.json["faces"][0]["name"] == "Obama")

    def holding(self) -> list[str]:
        """The doors that have anybody in their gallery."""
        return [name for name in DOORS if self.door(name, "list", "--json").json["people"]]

    def sync(self) -> None:
        for name in DOORS:
            self.door(name, "door", "sync")

    def say(self, sentence: str, since: float) -> None:
        self.steps.append(f"{sentence} ({time.monotonic() - since:.1f} s)")
        print(self.steps[-1], flush=True)


def play(folder: Path, database: str, run: Run) -> list[str]:
    """The whole story, on an empty database; returns the sentences that it printed."""
    demo = Demo(folder, database, run)
    began = time.monotonic()
    demo.hub("init")
    with _serving(demo) as (url, server):
        _join(demo, url)
        demo.say("a hub with three doors: front and back in Berlin, gate in Hamburg", began)
        began = time.monotonic()
        demo.door("front", "enroll", "Obama", *(PORTRAITS / f"obama{n}.jpg" for n in ("", "3")))
        demo.door("front", "export", folder / "obama.people")
        demo.hub("import", folder / "obama.people", "--site", "Berlin", "--all-of", "Berlin")
        demo.sync()
        assert demo.holding() == ["front", "back"]
        assert demo.opens("back")
        assert not demo.opens("gate")
        demo.say("enrolled at the front door, Obama opens the back door, and not the gate", began)
        began = time.monotonic()
        demo.hub("remove", "Obama")
        demo.sync()
        assert demo.holding() == []
        demo.say("the hub has erased Obama: no door has him", began)
        began = time.monotonic()
        demo.hub("import", folder / "obama.people", "--site", "Hamburg", "--door", "gate")
        demo.sync()
        assert demo.holding() == ["gate"]
        demo.say("registered in Hamburg, he is at the gate alone", began)
        server.kill()
        server.wait()
        began = time.monotonic()
        refused = demo.door("gate", "door", "sync", expected=2)
        assert "the door goes on with generation" in refused.stderr
        assert demo.opens("gate")
        demo.say("the hub is killed: the gate goes on, and opens", began)
    return demo.steps


def _join(demo: Demo, url: str) -> None:
    for name, site in DOORS.items():
        made = demo.hub("add-door", name, "--site", site, "--json").json
        (demo.folder / name).mkdir()
        token = demo.folder / name / "token"
        token.write_text(made["token"])
        join = ("door", "join", name, made["key"], "--from", url, "--token-file", token)
        demo.door(name, *join)
        demo.door(name, "door", "sync")


@contextmanager
def _serving(demo: Demo) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The hub as a process, at a free port, and killed at the end."""
    port = _free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "edgeface", "hub", "serve", "--port", str(port)],
        env=demo.hub_environment,
    )
    try:
        while True:
            assert server.poll() is None, "the hub did not start"
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", server
    finally:
        server.kill()
        server.wait()


def _free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])


def main() -> None:
    """Play it with everything as a process of its own."""
    with running() as server, tempfile.TemporaryDirectory() as folder:
        play(
            Path(folder),
            server.database(),
            lambda *words, **more: start("edgeface", *words, **more),
        )


if __name__ == "__main__":
    main()
