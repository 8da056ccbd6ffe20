"""`edgeface config check`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import options, print_json
from edgeface.cli.paths import UserPath
from edgeface.service.config import SYSTEM_CONFIG, load_config
from edgeface.service.settings_check import check_settings


@click.group("config")
def command() -> None:
    """Check the service's settings."""


@command.command("check")
@click.argument("file", type=UserPath(path_type=Path), default=SYSTEM_CONFIG)
@options.as_json
def check(file: Path, as_json: bool) -> None:
    """Check the settings in FILE (default: /etc/edgeface/edgeface.toml).

    Exit status 2 where they are wrong, or need what is not installed; what may still come, as a
    camera does that is not plugged in, is a note.
    """
    config = load_config(file)
    warnings = check_settings(config)
    sinks = [
        name
        for name in ("stdout", "mqtt", "webhook", "exec", "gpio", "snapshots")
        if getattr(config, name) is not None
    ]
    if as_json:
        found = {"file": str(file), "source": str(config.source.spec), "sinks": sinks}
        print_json({**found, "warnings": warnings})
        return
    for warning in warnings:
        click.echo(f"note: {warning}", err=True)
    click.echo(f"{file} is fine: watches {config.source.spec}, reports to {', '.join(sinks)}")
