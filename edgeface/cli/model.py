"""`edgeface model use NAME`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import options, print_json
from edgeface.cli.gallery import stores_of
from edgeface.gallery.choice import use_model
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import default_gallery_path


@click.group("model")
def command() -> None:
    """Choose the model that a gallery is used with."""


@command.command("use")
@click.argument("name")
@options.gallery
@options.key_file
@options.as_json
def use(name: str, gallery: Path | None, key_file: Path | None, as_json: bool) -> None:
    """Use the model NAME with the gallery from now on (see: edgeface models).

    People enrolled with another model are kept in a file beside the gallery and are there again
    when that model is chosen again; delete the file once everybody has been enrolled with this one.
    """
    path = gallery or default_gallery_path()
    done = use_model(path, name, find_key(key_file), stores_of(path))
    if as_json:
        aside = None if done.aside is None else str(done.aside)
        print_json({"model": name, "file": str(path), "people": done.people, "aside": aside})
        return
    click.echo(
        f"{path} is used with {name} from now on: "
        f"{options.counted(done.people, 'person', 'people')} enrolled"
    )
    if done.aside is not None:
        click.echo(
            f"the people of the model before are kept in {done.aside}; enroll them again with: "
            "edgeface enroll NAME PICTURE..., then delete that file"
        )
    click.echo("a running service uses it after: edgeface reload")
