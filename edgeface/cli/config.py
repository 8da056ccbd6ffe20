"""`edgeface config check`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import options, print_json
from edgeface.service.config import SYSTEM_CONFIG, load_config


@click.group("config")
def command() -> None:
    """Check the service's settings."""


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path), default=SYSTEM_CONFIG)
@options.as_json
def check(file: Path, as_json: bool) -> None:
    """Check the settings in FILE (default: /etc/edgeface/edgeface.toml)."""
    config = load_config(file)
    sinks = [
        name
        for name in ("stdout", "mqtt", "webhook", "exec", "gpio", "snapshots")
        if getattr(config, name) is not None
    ]
    if as_json:
        print_json({"file": str(file), "source": str(config.source.spec), "sinks": sinks})
        return
    click.echo(f"{file} is fine: watches {config.source.spec}, reports to {', '.join(sinks)}")
