"""The hub's register on a real PostgreSQL, by its commands, and doors that take its packages."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn

from benchmarks.hub_demo import play
from edgeface.cli import main
from edgeface.errors import GalleryError
from edgeface.hub.keys import HubKeys, Templates
from edgeface.hub.package import Package, verify
from edgeface.hub.publish import Publisher
from edgeface.hub.server import application
from edgeface.pipeline.model_file import load_model
from tests.conftest import CommandLine
from tests.helpers.certificates import Authority
from tests.helpers.command import Outcome, call
from tests.helpers.postgres import Server
from tests.hub.conftest import Hub
from tests.test_contracts import keys, table

MODEL = load_model()


def listed(door: CommandLine) -> list[str]:
    return [one["name"] for one in door("list", "--json").json["people"]]


def sync(hub: Hub, doors: dict[str, CommandLine]) -> dict[str, list[str]]:
    """Carry a stick from the hub to every door; who is at each then."""
    hub.done("publish", hub.folder / "stick")
    for name, door in doors.items():
        applied = door("door", "apply", hub.folder / "stick" / f"{name}.edgeface")
        assert applied.status == 0, applied.stderr
    return {name: listed(door) for name, door in doors.items()}


def query(hub: Hub, statement: str, *values: object) -> list[Any]:
    with psycopg.connect(hub.database) as connection:
        return connection.execute(statement.encode(), values).fetchall()


@contextmanager
def as_door(hub: Hub, token: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection with nothing but a door's rights and its token."""
    with psycopg.connect(hub.database) as connection:
        connection.execute("SET ROLE edgeface_door")
        connection.execute("SELECT set_config('edgeface.token', %s, false)", [token])
        yield connection


def ask(hub: Hub, token: str, has: int, base: int, now: float | None = None) -> Package | None:
    """What the door of this token is sent."""
    with psycopg.connect(hub.database) as connection:
        publisher = Publisher(connection, hub.keys, time.time() if now is None else now, 30)
        data = publisher.answer(token, has, base)
    return None if data is None else verify(data, bytes.fromhex(hub.keys.public))


def names(package: Package | None) -> tuple[list[str], list[str]]:
    assert package is not None
    return [one.name for one in package.people], list(package.removed)


def test_who_may_use_a_door_opens_it_and_no_other_until_it_is_forbidden(hub: Hub) -> None:
    doors = {name: hub.door(name, site) for name, site in {"a1": "A", "a2": "A", "b": "B"}.items()}
    hub.done("import", hub.people(Ada=1, Bob=2), "--site", "A", "--all-of", "A")
    hub.done("import", hub.people(Cyd=3), "--site", "B", "--door", "b")
    assert sync(hub, doors) == {"a1": ["Ada", "Bob"], "a2": ["Ada", "Bob"], "b": ["Cyd"]}
    hub.done("allow", "Ada", "--door", "b")
    hub.done("forbid", "Bob", "--door", "a1")
    assert sync(hub, doors) == {"a1": ["Ada"], "a2": ["Ada", "Bob"], "b": ["Ada", "Cyd"]}
    assert hub("remove", "Ada", "--json").json == {"name": "Ada", "waiting": ["a1", "a2", "b"]}
    assert sync(hub, doors) == {"a1": [], "a2": ["Bob"], "b": ["Cyd"]}
    assert [one["name"] for one in hub("list", "--json").json["people"]] == ["Bob", "Cyd"]


def test_a_person_may_use_a_door_from_one_moment_until_another(hub: Hub) -> None:
    token = hub.done("add-door", "a", "--site", "A", "--json").json["token"]
    hub.done("import", hub.people(Ada=1), "--site", "A")
    hub.done("allow", "Ada", "--door", "a", "--from", "2030-01-01", "--until", "2030-02-01")
    start = 1893456000  # the first of January 2030
    assert names(ask(hub, token, 0, 0, start - 1)) == ([], [])
    assert names(ask(hub, token, 1, 1, start)) == (["Ada"], [])
    assert ask(hub, token, 2, 2, start + 86400) is None
    assert names(ask(hub, token, 2, 2, start + 31 * 86400)) == ([], ["Ada"])


def test_a_door_is_sent_what_changed_and_everybody_where_that_is_not_known(hub: Hub) -> None:
    token = hub.done("add-door", "a", "--site", "A", "--json").json["token"]
    hub.done("import", hub.people(Ada=1, Bob=2), "--site", "A", "--door", "a")
    assert names(ask(hub, token, 0, 0)) == (["Ada", "Bob"], [])
    assert ask(hub, token, 1, 1) is None
    hub.done("import", hub.people(Cyd=3), "--site", "A", "--door", "a")
    hub.done("remove", "Ada")
    change = ask(hub, token, 1, 1)
    assert change is not None
    assert (change.base, change.generation, names(change)) == (1, 2, (["Cyd"], ["Ada"]))
    assert names(ask(hub, token, 1, 1)) == (["Cyd"], ["Ada"])  # the answer was lost
    assert query(hub, "SELECT name FROM edgeface.sent WHERE version IS NULL") == [("Ada",)]
    assert ask(hub, token, 2, 2) is None
    # Once the door has said that she is gone, no table names her.
    assert query(hub, "SELECT name FROM edgeface.sent ORDER BY name") == [("Bob",), ("Cyd",)]
    whole = ask(hub, token, 2, 0)  # its gallery was damaged
    assert whole is not None
    assert (whole.base, names(whole)) == (0, (["Bob", "Cyd"], []))
    state = hub("doors", "--json").json["doors"][0]
    assert (state["generation"], state["acknowledged"], state["people"]) == (2, 2, 2)


def test_a_hub_from_an_older_backup_goes_on_after_what_its_doors_have(hub: Hub) -> None:
    token = hub.done("add-door", "a", "--site", "A", "--json").json["token"]
    hub.done("import", hub.people(Ada=1), "--site", "A", "--door", "a")
    package = ask(hub, token, 40, 40)
    assert package is not None
    assert (package.base, names(package)) == (0, (["Ada"], []))
    assert package.generation > 40


def test_a_door_with_its_credential_reads_its_site_and_nothing_else(hub: Hub) -> None:
    tokens = {
        name: hub.done("add-door", name, "--site", site, "--json").json["token"]
        for name, site in {"a": "A", "b": "B"}.items()
    }
    hub.done("import", hub.people(Ada=1, Abe=4), "--site", "A", "--door", "a")
    hub.done("import", hub.people(Bob=2), "--site", "B", "--door", "b")
    hub.done("allow", "Ada", "--door", "b")
    everybody = "SELECT name FROM edgeface.person ORDER BY name"
    templates = "SELECT count(*) FROM edgeface.template"
    for token, seen in {tokens["a"]: ["Abe", "Ada"], tokens["b"]: ["Ada", "Bob"], "": []}.items():
        with as_door(hub, token) as connection:
            assert [name for (name,) in connection.execute(everybody)] == seen
            assert connection.execute(templates).fetchone() == (len(seen),)
            doors = connection.execute("SELECT name FROM edgeface.door").fetchall()
            assert len(doors) == (1 if token else 0)
    for statement in (
        "SELECT token_sha256 FROM edgeface.door",
        "DELETE FROM edgeface.person",
        "INSERT INTO edgeface.access SELECT 1, id FROM edgeface.door",
        "UPDATE edgeface.door SET site_id = 1",
    ):
        with (
            as_door(hub, tokens["a"]) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement.encode())
    with pytest.raises(PermissionError):
        ask(hub, "not a token", 0, 0)
    hub.done("remove-door", "a")
    with pytest.raises(PermissionError):
        ask(hub, tokens["a"], 0, 0)


def test_templates_are_sealed_each_for_its_person_site_and_model(hub: Hub) -> None:
    hub.done("import", hub.people(Ada=1), "--site", "A")
    ((sealed, person, site),) = query(
        hub,
        "SELECT sealed, id, site_id FROM edgeface.template JOIN edgeface.person ON id = person_id",
    )
    opened = hub.keys.unseal(site, person, MODEL.identity, sealed)
    assert opened.rows not in sealed
    assert opened.rows[:16] not in sealed
    wrong = [
        (hub.keys, site + 1, person, MODEL.identity, sealed),
        (hub.keys, site, person + 1, MODEL.identity, sealed),
        (hub.keys, site, person, "0" * 64, sealed),
        (HubKeys(bytes(32)), site, person, MODEL.identity, sealed),
        (hub.keys, site, person, MODEL.identity, sealed[:-1]),
    ]
    for opener, where, whose, model, data in wrong:
        with pytest.raises(GalleryError, match="does not open"):
            opener.unseal(where, whose, model, data)
    again = hub.keys.seal(site, person, MODEL.identity, Templates(opened.rows, opened.days))
    assert again != sealed


def test_nobody_is_registered_twice_without_somebody_saying_so(hub: Hub) -> None:
    hub.done("import", hub.people(Ada=1, Bob=2), "--site", "A")
    refused = {
        "Ada looks like Eve": hub("import", hub.people(Eve=1), "--site", "B"),
        "looks like Dee": hub("import", hub.people(Cyd=9, Dee=9), "--site", "A"),
        "another Bob": hub("import", hub.people(Bob=7), "--site", "A"),
        "a Bob at another site": hub("import", hub.people(Bob=2), "--site", "B"),
        "has no door": hub("import", hub.people(Zoe=5), "--site", "A", "--all-of", "A"),
        "no file": hub("import", hub.folder / "none", "--site", "A"),
    }
    for reason, outcome in refused.items():
        assert (outcome.status, outcome.stderr.count("\n")) == (2, 1)
        assert reason in outcome.stderr
    assert hub("duplicates", "--json").json == {"pairs": []}
    assert len(hub("list", "--json").json["people"]) == 2
    hub.done("import", hub.people(Eve=1), "--site", "B", "--force")
    (pair,) = hub("duplicates", "--json").json["pairs"]
    assert (pair["name"], pair["other"], pair["score"] > 0.9) == ("Ada", "Eve", True)
    again = hub.done("import", hub.people(Ada=1), "--site", "A", "--json", "--force").json
    assert (again["added"], again["updated"]) == ([], ["Ada"])


def test_the_same_key_is_kept_and_init_may_be_repeated(hub: Hub) -> None:
    key = hub.key_file.read_bytes()
    assert hub("init", "--json").json == {"key": hub.keys.public, "revision": "0001"}
    assert hub.key_file.read_bytes() == key
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'edgeface'"
    assert query(hub, tables) == [(6,)]


def test_what_is_wrong_with_the_hub_is_one_sentence(hub: Hub, postgres: Server) -> None:
    empty = replace(hub, database=postgres.database())
    away = replace(hub, database="postgresql://hub:geheim@/none?host=/nowhere")
    cases = {
        "run: edgeface hub init": empty("list"),
        "cannot be reached": away("list"),
        "--database URL": call(main, "hub", "list", environment={}),
        "is no URL": replace(hub, database="htp://hub:geheim@host/hub")("list"),
        "is not registered": hub("remove", "Ada"),
        "has no door x": hub("import", hub.people(Abe=1), "--site", "A", "--door", "x"),
    }
    hub.key_file.chmod(0o644)
    cases["chmod 600"] = hub("list")
    for reason, outcome in cases.items():
        assert (outcome.status, outcome.stderr.count("\n")) == (2, 1), outcome.stderr
        assert reason in outcome.stderr
        assert "geheim" not in outcome.stderr


def test_every_answer_has_the_keys_of_the_contract(hub: Hub, tmp_path: Path) -> None:
    lines: dict[str, tuple[str | Path, ...]] = {
        "init": (),
        "add-door": ("a", "--site", "A"),
        "import": (hub.people(Ada=1, Bob=2), "--site", "A", "--door", "a"),
        "allow": ("Ada", "--all-of", "A"),
        "list": (),
        "doors": (),
        "publish": (tmp_path / "out",),
        "forbid": ("Bob", "--all-of", "A"),
        "remove": ("Bob",),
        "remove-door": ("a",),
    }
    listed = {name: found for name, found in table("commands").items() if name[:4] == "hub "}
    assert listed.pop("hub serve") == []
    for name, words in lines.items():
        answer = hub.done(name, *words, "--json").json
        assert set(keys(answer)) == set(listed.pop(f"hub {name}")), name
    assert list(listed) == ["hub duplicates"]  # which the test of duplicates reads


def test_two_hubs_on_one_database_make_one_generation_at_a_time(hub: Hub) -> None:
    token = hub.done("add-door", "a", "--site", "A", "--json").json["token"]
    hub.done("import", hub.people(Ada=1), "--site", "A", "--door", "a")
    with psycopg.connect(hub.database) as one, psycopg.connect(hub.database) as other:
        assert Publisher(one, hub.keys, time.time(), 30).answer(token, 0, 0) is not None
        other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            Publisher(other, hub.keys, time.time(), 30).answer(token, 0, 0)
    package = ask(hub, token, 0, 0)
    assert package is not None
    assert package.generation == 1


def test_a_wheel_brings_the_server_or_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.helpers import postgres

    monkeypatch.setattr(postgres, "find_spec", lambda _: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception):
        postgres.binaries()


def test_publishing_to_where_nothing_can_be_written_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.done("add-door", "a", "--site", "A")
    (tmp_path / "file").write_text("")
    outcome = hub("publish", tmp_path / "file" / "folder")
    assert (outcome.status, "cannot write" in outcome.stderr) == (2, True)


def test_the_demo_of_hub_and_doors_holds(
    postgres: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `make hub-demo` shows: real portraits, a hub as a process, doors that ask it."""
    steps = play(tmp_path, postgres.database(), partial(call, main))
    assert len(steps) == 5


def test_doors_ask_over_tls_with_their_token_and_are_refused_with_another(
    hub: Hub, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    authority.server("127.0.0.1")
    made = hub.done("add-door", "a", "--site", "A", "--json").json
    hub.done("import", hub.people(Ada=1), "--site", "A", "--door", "a")
    token = tmp_path / "token"
    token.write_text(made["token"])
    door = CommandLine(tmp_path)

    def join(url: str, *more: str | Path) -> Outcome:
        return door("door", "join", "a", made["key"], "--from", url, "--token-file", token, *more)

    assert "must begin with https://" in join("http://hub.example").stderr
    assert "a host and a port alone" in join("https://me@hub.example/x").stderr
    with serving(hub, tmp_path / "ca-127.0.0.1.pem") as port:
        assert join(f"https://127.0.0.1:{port}").status == 0
        untrusted = door("door", "sync")
        assert (untrusted.status, "CERTIFICATE_VERIFY_FAILED" in untrusted.stderr) == (2, True)
        assert join(f"https://127.0.0.1:{port}", "--ca", authority.file).status == 0
        assert door("door", "sync", "--json").json["people"] == 1
        assert door("door", "sync", "--json").json["generation"] == 1
        assert listed(door) == ["Ada"]
        hub.done("forbid", "Ada", "--door", "a")
        token.write_text("another")
        join(f"https://127.0.0.1:{port}", "--ca", authority.file)
        refused = door("door", "sync")
        assert (refused.status, "no door with this token" in refused.stderr) == (2, True)
        assert listed(door) == ["Ada"]
        with httpx.Client(verify=ssl.create_default_context(cafile=authority.file)) as client:
            address = f"https://127.0.0.1:{port}/v1/package"
            assert client.get(address).status_code == 400
            assert client.get(f"{address}?has=1&base=2").status_code == 400
            assert client.get(f"{address}?has={2**60}&base=0").status_code == 400
            assert client.get(f"{address}?has=0&base=0").status_code == 401


def test_a_door_reads_its_package_from_a_folder(hub: Hub, tmp_path: Path) -> None:
    door = hub.door("a", "A")
    assert "run edgeface door join again with --from" in door("door", "sync").stderr
    folder = tmp_path / "shared"
    joined = door("door", "join", "a", hub.keys.public, "--from", folder)
    assert joined.status == 0
    assert (door("door", "sync").status, listed(door)) == (2, [])
    hub.done("import", hub.people(Ada=1), "--site", "A", "--door", "a")
    hub.done("publish", folder)
    assert door("door", "sync", "--json").json["generation"] == 1
    gallery = door.gallery.stat()
    assert door("door", "sync").status == 0
    assert door.gallery.stat() == gallery  # nothing was new
    assert listed(door) == ["Ada"]


def test_a_door_goes_on_asking_through_what_fails(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is in the folder yet, then somebody, then nobody any more."""
    door = hub.door("a", "A")
    folder = tmp_path / "shared"
    door("door", "join", "a", hub.keys.public, "--from", folder)
    hub.done("import", hub.people(Ada=1), "--site", "A", "--door", "a")
    seen: list[list[str]] = []

    def sleep(seconds: float) -> None:
        assert seconds == 5
        seen.append(listed(door))
        if len(seen) == 2:
            hub.done("remove", "Ada")
        if len(seen) == 3:
            raise KeyboardInterrupt
        hub.done("publish", folder)

    monkeypatch.setattr("edgeface.cli.door.time.sleep", sleep)
    asked = door("door", "sync", "--every", "5")
    assert (asked.status, seen) == (130, [[], ["Ada"], []])
    assert "cannot read the package" in asked.stderr
    lines = asked.stdout.splitlines()
    assert ["has generation 1 of" in lines[0], "has generation 2 of" in lines[1]] == [True, True]
    assert len(lines) == 2


@contextmanager
def serving(hub: Hub, certificate: Path) -> Iterator[int]:
    """The hub's server over TLS, in this process; its port."""
    app = application(hub.database, hub.keys, 30)
    config = uvicorn.Config(app, ssl_certfile=certificate, log_level="error")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()
