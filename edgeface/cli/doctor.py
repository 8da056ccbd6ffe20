"""`edgeface doctor`"""

from __future__ import annotations

import os
from pathlib import Path

import click

from edgeface.cli import NO, YES, options, print_json
from edgeface.cli.ownership import work_as_owner
from edgeface.cli.paths import UserPath
from edgeface.cli.run import with_options
from edgeface.service.config import SYSTEM_CONFIG, SYSTEM_STATE, Config, load_config
from edgeface.service.doctor import examine


@click.command("doctor")
@click.option(
    "--config",
    "path",
    type=UserPath(path_type=Path, dir_okay=False),
    help="Settings file (default: the service's, if there is one).",
)
@click.option("--source", help="Check this source instead of the one in the settings.")
@options.gallery
@options.model
@options.as_json
def command(
    path: Path | None, source: str | None, gallery: Path | None, model: Path | None, as_json: bool
) -> int:
    """Check settings, camera, runtime, model, gallery, service and heat. Exit 0 if all is well."""
    if path is None and SYSTEM_CONFIG.exists():
        path = SYSTEM_CONFIG
        # The service's settings, and so its gallery, for users who may read its folder.
        chosen = gallery or "EDGEFACE_GALLERY" in os.environ
        if not chosen and os.access(SYSTEM_STATE, os.X_OK):
            gallery = SYSTEM_STATE / "gallery.safetensors"
    readable = path is not None and (path != SYSTEM_CONFIG or os.access(path, os.R_OK))
    config = load_config(path) if path and readable else Config()
    config = with_options(config, source, gallery, model)
    work_as_owner(config.recognition.gallery_path)
    checks = examine(config, path)
    if as_json:
        print_json({"checks": [check.as_dict() for check in checks]})
    else:
        for check in checks:
            click.echo(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
            if check.advice:
                click.echo(f"     {check.advice}")
    return YES if all(check.ok for check in checks) else NO
