"""`edgeface reload`"""

from __future__ import annotations

import click

from edgeface.cli import options, print_json
from edgeface.service.client import ask


@click.command("reload")
@options.as_json
def command(as_json: bool) -> None:
    """Have the running service read its settings again; invalid ones change nothing."""
    answer = ask({"command": "reload"}, administering=True)
    if as_json:
        print_json(answer)
    else:
        click.echo("the settings are in effect")
