"""`edgeface rename NAME NEW`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import live, options, print_json
from edgeface.gallery.change import rename_person
from edgeface.gallery.choice import model_in_use
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import default_gallery_path
from edgeface.gallery.names import person_name


@click.command("rename")
@click.argument("name")
@click.argument("new")
@live.through_service
@options.on_gallery
def command(
    name: str,
    new: str,
    through_service: bool,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Give the person NAME the name NEW. Settings that hold the old name stay as they are.

    With --service the running service does it, for its own gallery, without sudo.
    """
    if through_service:
        live.refuse_gallery_options("--service")
        answer = live.administer("rename", name=name, other=new)
    else:
        path, old, wanted = gallery or default_gallery_path(), person_name(name), person_name(new)
        left = rename_person(path, model_in_use(path, model), find_key(key_file), old, wanted)
        answer = {"name": wanted, "before": old, "templates": dict(left.people)[wanted]}
    if as_json:
        print_json(answer)
        return
    click.echo(f"{answer['before']} is {answer['name']} now")
