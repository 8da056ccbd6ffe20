"""`edgeface remove NAME`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import live, options, print_json
from edgeface.gallery.change import remove_person
from edgeface.gallery.choice import kept_aside, model_in_use
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import default_gallery_path
from edgeface.gallery.names import person_name


@click.command("remove")
@click.argument("name")
@click.option(
    "--template",
    type=click.IntRange(1),
    help="Remove this one of the person's templates, as numbered by: edgeface list NAME.",
)
@live.through_service
@options.on_gallery
def command(
    name: str,
    template: int | None,
    through_service: bool,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Remove a person and all their templates from the gallery, or one template alone.

    With --service the running service does it, for its own gallery, without sudo.
    """
    if through_service:
        live.refuse_gallery_options("--service")
        more = {} if template is None else {"template": template}
        answer = live.administer("remove", name=name, **more)
    else:
        path, name = gallery or default_gallery_path(), person_name(name)
        key = find_key(key_file)
        removed, left = remove_person(path, model_in_use(path, model), key, name, template)
        people = [{"name": other, "templates": count} for other, count in left.people]
        answer = {"name": name, "templates": removed, "people": people}
        for aside in kept_aside(path) if template is None else ():
            click.echo(
                f"note: {name} may be in {aside}, too, the gallery of a model that is not in use; "
                f"look with: edgeface list --gallery {aside} --model {aside.suffix[1:]}",
                err=True,
            )
    if as_json:
        print_json(answer)
        return
    if template is not None:
        click.echo(f"removed template {template} of {answer['name']}")
        return
    click.echo(f"removed {answer['name']} and {options.counted(answer['templates'], 'template')}")
