"""`edgeface export FILE [NAME...]`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import options, print_json
from edgeface.cli.paths import UserPath
from edgeface.gallery.choice import model_in_use
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import Gallery, default_gallery_path
from edgeface.gallery.names import person_name
from edgeface.gallery.transfer import export_people


@click.command("export")
@click.argument("file", type=UserPath(path_type=Path, dir_okay=False))
@click.argument("names", nargs=-1)
@options.on_gallery
def command(
    file: Path,
    names: tuple[str, ...],
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Write the people NAME... (default: all) to FILE, for `edgeface import` on another device.

    FILE is bound to the same model, and encrypted with the same key when the gallery is.
    """
    key = find_key(key_file)
    path = gallery or default_gallery_path()
    opened = Gallery.open(path, model_in_use(path, model), key)
    people = export_people(opened, file, [person_name(name) for name in names], key)
    if as_json:
        print_json({"file": str(file), "people": people})
        return
    click.echo(
        f"exported {len(people)} to {file}: {', '.join(people[:10])}"
        + (", ..." if len(people) > 10 else "")
    )
