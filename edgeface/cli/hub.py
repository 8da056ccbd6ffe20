"""`edgeface hub init|add-door|import|allow|forbid|remove|list|doors|duplicates|publish`..."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from edgeface.cli import options, print_json
from edgeface.cli.paths import UserPath
from edgeface.enrollment import same_person_threshold
from edgeface.errors import ConfigError, GalleryError, ModelError
from edgeface.gallery.encryption import read_key
from edgeface.gallery.gallery import Gallery
from edgeface.hub.database import connect, migrate
from edgeface.hub.fetch import is_here
from edgeface.hub.keys import HubKeys
from edgeface.hub.package import file_name
from edgeface.hub.publish import DEFAULT_DAYS, Publisher
from edgeface.hub.register import Register
from edgeface.pipeline.model_file import Model, load_model
from edgeface.system.storage import write_atomically

_Command = TypeVar("_Command", bound=Callable[..., Any])
_database = click.option(
    "--database",
    envvar="EDGEFACE_HUB_DATABASE",
    help="URL of its PostgreSQL (default: $EDGEFACE_HUB_DATABASE; a password belongs there or "
    "into ~/.pgpass).",
)
_key_file = click.option(
    "--hub-key-file",
    envvar="EDGEFACE_HUB_KEY_FILE",
    type=UserPath(path_type=Path, dir_okay=False),
    help="The hub's own secret (default: $EDGEFACE_HUB_KEY_FILE).",
)
_doors = click.option("--door", "doors", multiple=True, help="A door, by its name.")
_of_site = click.option("--all-of", help="Every door of a site.")
_valid_days = click.option(
    "--valid-days",
    type=click.IntRange(1, 3650),
    default=DEFAULT_DAYS,
    show_default=True,
    help="For how long a door takes the packages.",
)
_moment = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"])


def _at_hub(command: _Command) -> _Command:
    """--database, --hub-key-file and --json; the command gets the register, all in one
    transaction."""

    @wraps(command)
    def with_register(database: str | None, hub_key_file: Path | None, **parameters: Any) -> Any:
        with _opened(*_given(database, hub_key_file)) as register:
            return command(register, **parameters)

    return _database(_key_file(options.as_json(cast(_Command, with_register))))


@contextmanager
def _opened(database: str, key_file: Path) -> Iterator[Register]:
    keys = HubKeys.read(key_file)
    with connect(database) as connection:
        yield Register(connection, keys)


def _given(database: str | None, key_file: Path | None) -> tuple[str, Path]:
    """Both. ConfigError where one is missing."""
    if database is None:
        raise ConfigError(
            "the hub's database is not named; give --database URL, or set EDGEFACE_HUB_DATABASE"
        )
    if key_file is None:
        raise ConfigError(
            "the hub's key is not named; give --hub-key-file FILE, or set EDGEFACE_HUB_KEY_FILE"
        )
    return database, key_file


@click.group("hub")
def command() -> None:
    """Keep one register of people for many doors (the extra [hub])."""


@command.command("init")
@_database
@_key_file
@options.as_json
def init(database: str | None, hub_key_file: Path | None, as_json: bool) -> None:
    """Make the hub's key where there is none, and bring its tables up to date."""
    url, file = _given(database, hub_key_file)
    keys = HubKeys.make(file)
    revision = migrate(url)
    if as_json:
        print_json({"key": keys.public, "revision": revision})
        return
    click.echo(
        f"the hub's tables are at revision {revision}; its public key is {keys.public}; keep a "
        f"copy of {file} where the database is not"
    )


@command.command("add-door")
@click.argument("name")
@click.option("--site", required=True, help="Where it is; a new name makes a new site.")
@options.model
@_at_hub
def add_door(register: Register, name: str, site: str, model: Path | None, as_json: bool) -> None:
    """Add the door NAME, and show what to give it: its token is shown once."""
    token = register.add_door(name, site, load_model(model))
    key = register.keys.public
    if as_json:
        print_json({"door": name, "site": site, "key": key, "token": token})
        return
    click.echo(f"at the door, run: edgeface door join {name!r} {key}")
    click.echo(f"its token, for asking over the network: {token}")


@command.command("remove-door")
@click.argument("name")
@_at_hub
def remove_door(register: Register, name: str, as_json: bool) -> None:
    """Remove the door NAME, whose token then opens nothing; erase what it holds at the door."""
    register.remove_door(name)
    _say({"door": name}, f"removed the door {name}; its gallery is still at the door", as_json)


@command.command("import")
@click.argument("file", type=UserPath(path_type=Path, dir_okay=False))
@click.option("--site", required=True, help="Whose people they are; a new name makes a new site.")
@_doors
@_of_site
@click.option("--consent", default="", help="Where their consent is filed.")
@click.option("--force", is_flag=True, help="Register who looks like somebody else, too.")
@click.option(
    "--from-key-file", type=UserPath(path_type=Path, dir_okay=False), help="Key of FILE, if any."
)
@options.model
@_at_hub
def import_(
    register: Register,
    file: Path,
    site: str,
    doors: tuple[str, ...],
    all_of: str | None,
    consent: str,
    force: bool,
    from_key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Register the people of FILE, which `edgeface export` has made, and let them use doors."""
    if not file.exists():
        raise GalleryError(f"there is no file {file}; check the path")
    loaded = load_model(model)
    key = None if from_key_file is None else read_key(from_key_file)
    arriving = Gallery.open(file, loaded, key)
    same = None if force else _same_person(loaded)
    added, updated = register.add_people(arriving, site, consent, same)
    may_use = _named(register, doors, all_of)
    register.allow([*added, *updated], may_use)
    _say(
        {"added": added, "updated": updated, "doors": may_use},
        f"registered {options.counted(len(added), 'person', 'people')}, {len(updated)} were there "
        f"already; they may use {options.counted(len(may_use), 'door')} of those named",
        as_json,
    )


@command.command("allow")
@click.argument("names", nargs=-1, required=True)
@_doors
@_of_site
@click.option("--from", "start", type=_moment, help="From when on (UTC).")
@click.option("--until", "end", type=_moment, help="Until when (UTC).")
@_at_hub
def allow(
    register: Register,
    names: tuple[str, ...],
    doors: tuple[str, ...],
    all_of: str | None,
    start: datetime | None,
    end: datetime | None,
    as_json: bool,
) -> None:
    """Let people use doors."""
    chosen = _some(_named(register, doors, all_of))
    register.allow(names, chosen, _utc(start), _utc(end))
    _say({"people": names, "doors": chosen}, f"may use {', '.join(chosen)}", as_json)


@command.command("forbid")
@click.argument("names", nargs=-1, required=True)
@_doors
@_of_site
@_at_hub
def forbid(
    register: Register,
    names: tuple[str, ...],
    doors: tuple[str, ...],
    all_of: str | None,
    as_json: bool,
) -> None:
    """Let people use doors no longer; the doors learn it with their next package."""
    chosen = _some(_named(register, doors, all_of))
    register.forbid(names, chosen)
    _say({"people": names, "doors": chosen}, f"may no longer use {', '.join(chosen)}", as_json)


@command.command("remove")
@click.argument("name")
@_at_hub
def remove(register: Register, name: str, as_json: bool) -> None:
    """Erase NAME from the register, and show which doors have not been heard to have done so."""
    waiting = register.remove(name)
    _say(
        {"name": name, "waiting": waiting},
        f"erased {name}; doors that may still have them: {', '.join(waiting) or 'none'}",
        as_json,
    )


@command.command("list")
@_at_hub
def list_(register: Register, as_json: bool) -> None:
    """Show who is registered, and which doors they may use."""
    people = register.people()
    if as_json:
        print_json({"people": people})
        return
    for one in people:
        click.echo(f"{one.name} ({one.site}): {', '.join(one.doors) or 'no door'}")


@command.command("doors")
@_at_hub
def doors_(register: Register, as_json: bool) -> None:
    """Show the doors: what was made for each, and what each has said that it has."""
    doors = register.doors()
    if as_json:
        print_json({"doors": doors})
        return
    for door in doors:
        seen = f"heard {door.seen:%Y-%m-%d %H:%M}" if door.seen else "never heard"
        click.echo(
            f"{door.name} ({door.site}): {options.counted(door.people, 'person', 'people')}, "
            f"generation {door.acknowledged} of {door.generation}, {seen}"
        )


@command.command("duplicates")
@options.model
@_at_hub
def duplicates(register: Register, model: Path | None, as_json: bool) -> None:
    """Show who may be registered under two names, over all sites, the likeliest pair first."""
    loaded = load_model(model)
    pairs = register.duplicates(loaded, same_person_threshold(loaded))
    if as_json:
        print_json({"pairs": pairs})
        return
    for pair in pairs:
        click.echo(f"{pair.name} and {pair.other}: {pair.score:.2f}")
    click.echo(f"{options.counted(len(pairs), 'pair')} of names may be one person each")


@command.command("publish")
@click.argument("folder", type=UserPath(path_type=Path, file_okay=False))
@_doors
@_valid_days
@_at_hub
def publish(
    register: Register, folder: Path, doors: tuple[str, ...], valid_days: int, as_json: bool
) -> None:
    """Write a package for each door into FOLDER, for a stick or for doors that read it there."""
    chosen = doors or tuple(door.name for door in register.doors())
    publisher = Publisher(register.database, register.keys, time.time(), valid_days)
    packages = {folder / file_name(name): publisher.snapshot(name) for name in chosen}
    for file, data in packages.items():
        try:
            write_atomically(file, [data], 0o644)
        except OSError as error:
            raise ConfigError(
                f"cannot write {file} ({error.strerror}); choose a folder with room in which you "
                "may write"
            ) from None
    _say(
        {"files": [str(file) for file in packages]},
        f"wrote {options.counted(len(packages), 'package')} to {folder}",
        as_json,
    )


@command.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8710, show_default=True)
@click.option(
    "--certificate",
    type=UserPath(path_type=Path, dir_okay=False, exists=True),
    help="PEM file; without it the hub listens on this machine alone, for a proxy.",
)
@click.option(
    "--key",
    type=UserPath(path_type=Path, dir_okay=False, exists=True),
    help="The key of --certificate, where it is in another file.",
)
@_valid_days
@_database
@_key_file
def serve(
    host: str,
    port: int,
    certificate: Path | None,
    key: Path | None,
    valid_days: int,
    database: str | None,
    hub_key_file: Path | None,
) -> None:
    """Answer doors that ask for what is new."""
    url, file = _given(database, hub_key_file)
    keys = HubKeys.read(file)
    if certificate is None and (key is not None or not is_here(host)):
        raise ConfigError(
            "a hub that other machines reach needs TLS; give --certificate and --key, or listen "
            "on 127.0.0.1 for a proxy that has them"
        )
    try:
        import uvicorn

        from edgeface.hub.server import application
    except ImportError:
        raise ConfigError("the hub is not installed; run: pip install 'edgeface[hub]'") from None
    with connect(url) as connection:
        Register(connection, keys).doors()  # refuses a database without a register
    uvicorn.run(
        application(url, keys, valid_days),
        host=host,
        port=port,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        log_level="warning",
        server_header=False,
    )


def _named(register: Register, doors: tuple[str, ...], site: str | None) -> list[str]:
    """The doors that --door and --all-of name, each once."""
    of_site = [] if site is None else register.doors_of(site)
    if site is not None and not of_site:
        raise ConfigError(
            f"the site {site} has no door; add one with: edgeface hub add-door NAME --site {site}"
        )
    return list(dict.fromkeys((*doors, *of_site)))


def _some(doors: list[str]) -> list[str]:
    if not doors:
        raise click.UsageError("say which doors, with --door or --all-of")
    return doors


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)


def _same_person(model: Model) -> float | None:
    """The score that makes one person; None where the model has no table to know it by."""
    try:
        return same_person_threshold(model)
    except ModelError:
        return None


def _say(keys: dict[str, Any], sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(keys)
    else:
        click.echo(sentence)
