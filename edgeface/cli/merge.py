"""`edgeface merge NAME OTHER`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import live, options, print_json
from edgeface.enrollment import merge_people
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.choice import model_in_use
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import Gallery, default_gallery_path
from edgeface.gallery.names import person_name


@click.command("merge")
@click.argument("name")
@click.argument("other")
@click.option("--force", is_flag=True, help="Merge people who do not look like one.")
@live.through_service
@options.on_gallery
def command(
    name: str,
    other: str,
    force: bool,
    through_service: bool,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Make NAME and OTHER one person, OTHER, who keeps the templates of both.

    With --service the running service does it, for its own gallery, without sudo.
    """
    if through_service:
        live.refuse_gallery_options("--service")
        answer = live.administer("merge", name=name, other=other)
    else:
        path, key = gallery or default_gallery_path(), find_key(key_file)
        loaded = model_in_use(path, model)
        first, second = person_name(name), person_name(other)
        for each in (first, second):
            Gallery.open(path, loaded, key).require(each)  # before a lock or a folder is made
        with GalleryChange.open(path, loaded, key) as change:
            templates = merge_people(change, loaded, first, second, force=force)
        answer = {"name": second, "before": first, "templates": templates}
    if as_json:
        print_json(answer)
        return
    click.echo(
        f"{answer['before']} is {answer['name']} now, with "
        f"{options.counted(answer['templates'], 'template')}"
    )
