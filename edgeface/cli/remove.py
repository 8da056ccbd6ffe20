"""`edgeface remove NAME`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import live, options, print_json
from edgeface.gallery.change import remove_person
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import default_gallery_path
from edgeface.gallery.names import person_name
from edgeface.pipeline.model_file import load_model


@click.command("remove")
@click.argument("name")
@live.through_service
@options.on_gallery
def command(
    name: str,
    through_service: bool,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Remove a person and all their templates from the gallery.

    With --service the running service does it, for its own gallery, without sudo.
    """
    if through_service:
        live.refuse_gallery_options("--service")
        answer = live.administer("remove", name=name)
    else:
        path, name = gallery or default_gallery_path(), person_name(name)
        removed, left = remove_person(path, load_model(model), find_key(key_file), name)
        people = [{"name": other, "templates": count} for other, count in left.people]
        answer = {"name": name, "templates": removed, "people": people}
    if as_json:
        print_json(answer)
        return
    templates = answer["templates"]
    click.echo(f"removed {answer['name']} and {templates} template{'s' if templates > 1 else ''}")
