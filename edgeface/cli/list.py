"""`edgeface list`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import options, print_json
from edgeface.gallery import Gallery, default_gallery_path
from edgeface.model import load_model


@click.command("list")
@options.gallery
@options.model
@options.as_json
def command(gallery: Path | None, model: Path | None, as_json: bool) -> None:
    """Show who is enrolled."""
    opened = Gallery.open(gallery or default_gallery_path(), load_model(model))
    if as_json:
        people = [{"name": name, "templates": templates} for name, templates in opened.people]
        print_json({"people": people})
        return
    for name, templates in opened.people:
        click.echo(f"{name}: {templates} template{'s' if templates > 1 else ''}")
    if not opened.people:
        click.echo(f"nobody is enrolled in {opened.path}; add someone with: edgeface enroll")
