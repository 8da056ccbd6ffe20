"""`edgeface door join|apply|sync|status`"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from edgeface.cli import options, print_json
from edgeface.cli.paths import UserPath
from edgeface.errors import ConfigError, GalleryError
from edgeface.gallery.choice import model_in_use
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import Gallery, default_gallery_path
from edgeface.hub.door import Door
from edgeface.hub.fetch import fetch, read_package, source_of
from edgeface.hub.memory import Memory, recall
from edgeface.system.address import is_url
from edgeface.system.secret import Secret


@click.group("door")
def command() -> None:
    """Make this gallery a door of a hub, and take its people."""


@command.command("join")
@click.argument("name")
@click.argument("hub_key", metavar="KEY")
@click.option(
    "--from", "source", default="", help="Where sync gets packages: https://HOST:PORT or a folder."
)
@click.option(
    "--token-file",
    type=UserPath(path_type=Path, dir_okay=False),
    help="File with the door's token, for a URL.",
)
@click.option(
    "--ca",
    type=UserPath(path_type=Path, dir_okay=False, exists=True),
    help="Certificates to check the hub's with (PEM; default: the system's).",
)
@options.on_gallery
def join(
    name: str,
    hub_key: str,
    source: str,
    token_file: Path | None,
    ca: Path | None,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Be the door NAME of the hub whose public KEY `edgeface hub add-door` has shown.

    Nobody is removed: who is enrolled here already stays until somebody removes them.
    """
    door = _door(gallery, key_file, model)
    source = source_of(source) if source else ""
    if is_url(source) != (token_file is not None):
        raise ConfigError("a hub's URL and --token-file go together; give both, or neither")
    token = "" if token_file is None else Secret.named(str(token_file.absolute())).open()
    if not token.isascii() or not token.isprintable():
        raise ConfigError(f"{token_file} holds no token, which is one line of ASCII; copy it again")
    memory = door.join(name, hub_key, source, token, "" if ca is None else str(ca.absolute()))
    if as_json:
        print_json({"door": memory.door, "hub": memory.hub})
        return
    click.echo(f"{door.gallery} is the door {memory.door} of the hub {memory.hub[:12]}")


@command.command("apply")
@click.argument("file", type=UserPath(path_type=Path, dir_okay=False))
@options.on_gallery
def apply(
    file: Path, gallery: Path | None, key_file: Path | None, model: Path | None, as_json: bool
) -> None:
    """Take the people from FILE, a package that the hub has signed for this door."""
    door = _door(gallery, key_file, model)
    _report(door, door.apply(read_package(file), time.time()), as_json)


@command.command("sync")
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    help="Go on asking, so many seconds after each answer.",
)
@options.on_gallery
def sync(
    every: float | None,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Take what is new from the hub or folder that `join --from` named.

    Where it cannot be reached, the door goes on with what it has.
    """
    door = _door(gallery, key_file, model)
    while every is not None:
        try:
            before, after = _synced(door)
        except GalleryError as error:
            click.echo(f"edgeface: {error}", err=True)
        else:
            if after != before:
                _report(door, after, as_json)
        time.sleep(every)
    _report(door, _synced(door)[1], as_json)


@command.command("status")
@options.on_gallery
def status(gallery: Path | None, key_file: Path | None, model: Path | None, as_json: bool) -> None:
    """Show which generation of the hub's register this door has."""
    door = _door(gallery, key_file, model)
    _report(door, recall(door.gallery, door.key), as_json)


def _door(gallery: Path | None, key_file: Path | None, model: Path | None) -> Door:
    path = gallery or default_gallery_path()
    return Door(path, model_in_use(path, model), find_key(key_file))


def _synced(door: Door) -> tuple[Memory, Memory]:
    """What the door remembered before it asked, and afterwards."""
    before = recall(door.gallery, door.key)
    data = fetch(before, door.base())
    return before, before if data is None else door.apply(data, time.time())


def _report(door: Door, memory: Memory, as_json: bool) -> None:
    people = len(Gallery.open(door.gallery, door.model, door.key))
    made = datetime.fromtimestamp(memory.made, UTC).isoformat() if memory.made else None
    if as_json:
        print_json(
            {
                "door": memory.door,
                "hub": memory.hub,
                "generation": memory.generation,
                "made": made,
                "people": people,
                "own": door.own(),
            }
        )
        return
    own = f", {len(own)} of them enrolled here alone" if (own := door.own()) else ""
    click.echo(
        f"the door {memory.door} has generation {memory.generation} of its hub, made "
        f"{made or 'never'}: {options.counted(people, 'person', 'people')}{own}"
    )
