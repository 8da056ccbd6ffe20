"""`edgeface models`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import options, print_json
from edgeface.gallery.choice import model_for
from edgeface.gallery.gallery import default_gallery_path
from edgeface.pipeline.model_file import DEFAULT_MODEL, SHIPPED_MODELS, model_path


@click.command("models")
@options.gallery
@options.as_json
def command(gallery: Path | None, as_json: bool) -> None:
    """Show the models that ship with this version, and which one the gallery is used with.

    TAR is the share of genuine pairs that are recognized at a FAR of 1e-4 (docs/encoders.md).
    Change it with: edgeface model use NAME
    """
    in_use = model_for(gallery or default_gallery_path(), None)
    rows = [
        {
            "name": one.name,
            "licence": one.licence,
            "bytes": model_path(one.name).stat().st_size,
            "gmac": one.gmac,
            "tar": one.tar,
            "default": one.name == DEFAULT_MODEL,
            "in_use": model_path(one.name) == in_use,
        }
        for one in SHIPPED_MODELS
    ]
    if as_json:
        print_json({"models": rows})
        return
    click.echo("name     licence       MB   GMAC  TAR at FAR 1e-4")
    for row, one in zip(rows, SHIPPED_MODELS, strict=True):
        size = model_path(one.name).stat().st_size / 1e6
        notes = [word for word, key in (("default", "default"), ("in use", "in_use")) if row[key]]
        click.echo(
            f"{one.name:8} {one.licence:10} {size:5.1f}  {one.gmac:5.3f}  {one.tar:15.1%}"
            f"  {', '.join(notes)}".rstrip()
        )
