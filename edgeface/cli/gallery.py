"""`edgeface gallery verify|compact|encrypt|decrypt|rekey|restore`"""

from __future__ import annotations

import os
from pathlib import Path

import click

from edgeface.cli import NO, YES, options, print_json
from edgeface.cli.paths import UserPath
from edgeface.errors import GalleryError
from edgeface.gallery.choice import kept_aside, model_in_use
from edgeface.gallery.encryption import find_key, read_key
from edgeface.gallery.file import is_sealed_file
from edgeface.gallery.gallery import default_gallery_path
from edgeface.gallery.newest import STORE
from edgeface.gallery.report import check
from edgeface.gallery.store import previous_of
from edgeface.gallery.transfer import change_key, compact, restore
from edgeface.hub.memory import change_memory_key


@click.group("gallery")
def command() -> None:
    """Look after the gallery's file."""


@command.command("verify")
@options.gallery
@options.key_file
@options.as_json
def verify(gallery: Path | None, key_file: Path | None, as_json: bool) -> int:
    """Check the gallery's files, changing nothing. Exit 0 if all is well, 1 if not."""
    path = gallery or default_gallery_path()
    health = check(path, find_key(key_file))
    if as_json:
        print_json({"ok": not health.problems, "file": str(path), **vars(health)})
    else:
        kept = "encrypted" if health.encrypted else "not encrypted"
        click.echo(
            f"{path}: {options.counted(health.people, 'person', 'people')}, "
            f"{options.counted(health.templates, 'template')}, generation "
            f"{health.generation}, {health.bytes} bytes, {kept}"
        )
        for problem in health.problems:
            click.echo(f"problem: {problem}")
    return NO if health.problems else YES


@command.command("compact")
@options.on_gallery
def compact_(
    gallery: Path | None, key_file: Path | None, model: Path | None, as_json: bool
) -> None:
    """Drop needless templates, and what earlier generations still hold of removed people."""
    path = gallery or default_gallery_path()
    dropped = compact(path, model_in_use(path, model), find_key(key_file))
    if as_json:
        print_json({"dropped": dropped})
        return
    click.echo(f"dropped {options.counted(dropped, 'template')} of {path}")


@command.command("encrypt")
@options.gallery
@options.key_file
@options.as_json
def encrypt(gallery: Path | None, key_file: Path | None, as_json: bool) -> None:
    """Encrypt the gallery with the key in --key-file (make one: openssl rand -hex 32)."""
    path = gallery or default_gallery_path()
    key = find_key(key_file)
    if key is None:
        raise GalleryError(
            "no key was given; make one with: openssl rand -hex 32 > FILE, and "
            "give it with --key-file FILE"
        )
    if is_sealed_file(path):
        raise GalleryError(
            f"the gallery {path} is encrypted already; to change its key: edgeface gallery rekey"
        )
    _change_key(path, None, key)
    _report(f"encrypted {path}; without the key nobody can open it, so keep a copy", path, as_json)


@command.command("decrypt")
@options.gallery
@options.key_file
@options.as_json
def decrypt(gallery: Path | None, key_file: Path | None, as_json: bool) -> None:
    """Keep the gallery in clear again."""
    path = gallery or default_gallery_path()
    _change_key(path, _key_of(path, key_file), None)
    _report(f"decrypted {path}; leave out the key from now on", path, as_json)


@command.command("rekey")
@click.option(
    "--new-key-file",
    type=UserPath(path_type=Path, dir_okay=False),
    required=True,
    help="The key from now on.",
)
@options.gallery
@options.key_file
@options.as_json
def rekey(new_key_file: Path, gallery: Path | None, key_file: Path | None, as_json: bool) -> None:
    """Encrypt the gallery with another key."""
    path = gallery or default_gallery_path()
    _change_key(path, _key_of(path, key_file), read_key(new_key_file))
    _report(f"{path} has the new key; the old one no longer opens it", path, as_json)


@command.command("restore")
@click.argument("file", metavar="FILE|previous", type=UserPath(path_type=Path, dir_okay=False))
@click.option(
    "--from-key-file",
    type=UserPath(path_type=Path, dir_okay=False),
    help="Key of FILE, if it is not the gallery's.",
)
@options.on_gallery
def restore_(
    file: Path,
    from_key_file: Path | None,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Make FILE, a backup or an export, the gallery; or its last generation.

    The present gallery is kept as the last generation. A running service takes the restored one
    with the next frame, and one that is started later, too. To accept an older copy that was put in
    the gallery's place, restore the gallery from itself.
    """
    path = gallery or default_gallery_path()
    key = find_key(key_file)
    from_key = key if from_key_file is None else read_key(from_key_file)
    source = previous_of(path) if file == Path("previous") else file
    restored = restore(source, from_key, path, model_in_use(path, model), key, stores_of(path))
    if as_json:
        print_json({"file": str(path), "people": len(restored), "generation": restored.generation})
        return
    people = options.counted(len(restored), "person", "people")
    click.echo(f"restored {people} from {source}; look with: edgeface list")


def stores_of(path: Path) -> list[Path]:
    """Where a service may keep which state of the gallery it has used."""
    from edgeface.service.config import SYSTEM_STATE  # not for the other commands

    given = os.environ.get("STATE_DIRECTORY")
    folders = [path.parent, SYSTEM_STATE, *([Path(given.split(":")[0])] if given else [])]
    return [folder / STORE for folder in folders]


def _change_key(path: Path, key: bytes | None, new_key: bytes | None) -> None:
    """Of the gallery, and of what a door remembers of its hub, which names people as well."""
    change_key(path, key, new_key)
    change_memory_key(path, key, new_key)


def _key_of(path: Path, key_file: Path | None) -> bytes | None:
    if path.exists() and not is_sealed_file(path):
        raise GalleryError(
            f"the gallery {path} is not encrypted; encrypt it with: edgeface gallery encrypt"
        )
    return find_key(key_file)


def _report(sentence: str, path: Path, as_json: bool) -> None:
    if as_json:
        print_json({"file": str(path), "encrypted": is_sealed_file(path)})
    else:
        click.echo(sentence)
    for aside in kept_aside(path):
        command = click.get_current_context().info_name
        click.echo(
            f"note: {aside}, the gallery of a model that is not in use, stays as it was; do the "
            f"same with it: edgeface gallery {command} --gallery {aside}",
            err=True,
        )
