"""`edgeface status`"""

from __future__ import annotations

import click

from edgeface.cli import options, print_json
from edgeface.service.client import ask


@click.command("status")
@options.as_json
def command(as_json: bool) -> None:
    """Show what the running service is doing."""
    answer = ask({"command": "status"})
    if as_json:
        print_json(answer)
        return
    click.echo(f"{answer['status']}, {answer['events']} events in {answer['uptime_s']:.0f} s")
    if answer["gallery_problem"]:
        click.echo(f"nobody is recognized: {answer['gallery_problem']}")
    if answer.get("rules_problem"):
        click.echo(f"nothing opens to those who have rules: {answer['rules_problem']}")
    if answer.get("rotation_needed") is not None:
        click.echo(f"the camera is turned: set rotation = {answer['rotation_needed']} in [source]")
    for seen in answer["in_view"]:
        name, liveness = seen["name"] or "not recognized", seen["liveness"]
        click.echo(f"in view: {name} (track {seen['track']}, liveness {liveness})")
    for sink in answer["sinks"]:
        state = sink["trouble"] or "works"
        click.echo(
            f"{sink['name']}: {state}; {sink['delivered']} delivered, {sink['waiting']} waiting, "
            f"{sink['lost']} lost"
        )
    if answer["locked_s"]:
        click.echo(f"locked for {answer['locked_s']:.0f} more seconds")
