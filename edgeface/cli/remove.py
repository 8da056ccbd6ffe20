"""`edgeface remove NAME`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import options, print_json
from edgeface.gallery import Gallery, clean_name, default_gallery_path
from edgeface.model import load_model


@click.command("remove")
@click.argument("name")
@options.gallery
@options.model
@options.as_json
def command(name: str, gallery: Path | None, model: Path | None, as_json: bool) -> None:
    """Remove a person and all their templates from the gallery."""
    opened = Gallery.open(gallery or default_gallery_path(), load_model(model))
    name = clean_name(name)
    removed = opened.remove(name)
    opened.save()
    if as_json:
        people = [{"name": other, "templates": count} for other, count in opened.people]
        print_json({"name": name, "templates": removed, "people": people})
        return
    click.echo(f"removed {name} and {removed} template{'s' if removed > 1 else ''}")
