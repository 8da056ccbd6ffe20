"""`edgeface import FILE`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from edgeface.cli import options, print_json
from edgeface.cli.paths import UserPath
from edgeface.enrollment import same_person_threshold
from edgeface.errors import ModelError
from edgeface.gallery.choice import model_in_use
from edgeface.gallery.encryption import find_key, read_key
from edgeface.gallery.gallery import default_gallery_path
from edgeface.gallery.transfer import import_people
from edgeface.pipeline.model_file import Model


@click.command("import")
@click.argument("file", type=UserPath(path_type=Path, dir_okay=False))
@click.option(
    "--force", is_flag=True, help="Add to people of the same name who look like somebody else."
)
@click.option(
    "--exact",
    is_flag=True,
    help="Leave exactly the people and templates of FILE: remove everybody else.",
)
@click.option(
    "--from-key-file",
    type=UserPath(path_type=Path, dir_okay=False),
    help="Key of FILE, if it is not the gallery's.",
)
@options.on_gallery
def command(
    file: Path,
    force: bool,
    exact: bool,
    from_key_file: Path | None,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Add the people of an exported FILE to the gallery.

    Who is enrolled already gets the pictures that are new. With --exact the gallery ends with
    exactly the people of FILE, so that a list kept elsewhere carries removals, too.
    """
    key = find_key(key_file)
    from_key = key if from_key_file is None else read_key(from_key_file)
    path = gallery or default_gallery_path()
    loaded = model_in_use(path, model)
    done = import_people(
        file,
        from_key,
        path,
        loaded,
        key,
        force=force,
        same=_same_person(loaded),
        exact=exact,
    )
    if as_json:
        print_json({"file": str(file), **vars(done)})
        return
    for warning in done.warnings:
        click.echo(f"note: {warning}", err=True)
    kinds = {"added": done.added, "updated": done.updated, "removed": done.removed}
    what = [f"{kind} {_listed(names)}" for kind, names in kinds.items() if names]
    people = options.counted(len(done.people), "person", "people")
    click.echo(f"imported {people} from {file}: {'; '.join(what) or 'nothing was new'}")


def _same_person(model: Model) -> float | None:
    """The score that makes one person; None where the model has no table to know it by."""
    try:
        return same_person_threshold(model)
    except ModelError:
        return None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if names[10:] else "")
