"""`edgeface remove NAME`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import options, print_json
from edgeface.gallery.change import remove_person
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import default_gallery_path
from edgeface.gallery.names import person_name
from edgeface.pipeline.model_file import load_model


@click.command("remove")
@click.argument("name")
@options.on_gallery
def command(
    name: str, gallery: Path | None, key_file: Path | None, model: Path | None, as_json: bool
) -> None:
    """Remove a person and all their templates from the gallery."""
    path = gallery or default_gallery_path()
    person = person_name(name)
    removed, left = remove_person(path, load_model(model), find_key(key_file), person)
    if as_json:
        people = [{"name": other, "templates": count} for other, count in left.people]
        print_json({"name": person, "templates": removed, "people": people})
        return
    click.echo(f"removed {person} and {removed} template{'s' if removed > 1 else ''}")
