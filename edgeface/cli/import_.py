"""`edgeface import FILE`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import options, print_json
from edgeface.gallery.encryption import find_key, read_key
from edgeface.gallery.gallery import default_gallery_path
from edgeface.gallery.transfer import import_people
from edgeface.pipeline.model_file import load_model


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Add to people who are enrolled already.")
@click.option(
    "--from-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Key of FILE, if it is not the gallery's.",
)
@options.on_gallery
def command(
    file: Path,
    force: bool,
    from_key_file: Path | None,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Add the people of an exported FILE to the gallery."""
    key = find_key(key_file)
    from_key = key if from_key_file is None else read_key(from_key_file)
    path = gallery or default_gallery_path()
    done = import_people(file, from_key, path, load_model(model), key, force=force)
    if as_json:
        print_json({"file": str(file), "people": done.people, "warnings": done.warnings})
        return
    for warning in done.warnings:
        click.echo(f"note: {warning}", err=True)
    click.echo(f"imported {len(done.people)} from {file}")
