"""`edgeface door join|apply|status`"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from edgeface.cli import options, print_json
from edgeface.cli.paths import UserPath
from edgeface.errors import GalleryError
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import Gallery, default_gallery_path
from edgeface.hub.door import Door
from edgeface.hub.memory import Memory, recall
from edgeface.hub.package import LARGEST
from edgeface.pipeline.model_file import load_model


@click.group("door")
def command() -> None:
    """Make this gallery a door of a hub, and take its people."""


@command.command("join")
@click.argument("name")
@click.argument("hub_key", metavar="KEY")
@options.on_gallery
def join(
    name: str,
    hub_key: str,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Be the door NAME of the hub whose public KEY `edgeface hub add-door` has shown.

    Nobody is removed: who is enrolled here already stays until somebody removes them.
    """
    door = _door(gallery, key_file, model)
    memory = door.join(name, hub_key)
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
    _report(door, door.apply(_read(file), time.time()), as_json)


@command.command("status")
@options.on_gallery
def status(gallery: Path | None, key_file: Path | None, model: Path | None, as_json: bool) -> None:
    """Show which generation of the hub's register this door has."""
    door = _door(gallery, key_file, model)
    _report(door, recall(door.gallery, door.key), as_json)


def _door(gallery: Path | None, key_file: Path | None, model: Path | None) -> Door:
    return Door(gallery or default_gallery_path(), load_model(model), find_key(key_file))


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


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST + 1)
    except OSError as error:
        raise GalleryError(
            f"cannot read the package {file} ({error.strerror}); check the path, or plug the "
            "stick in again"
        ) from None
