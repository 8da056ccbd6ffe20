"""What `verify`, `identify` and `enroll` do with --live: they ask the running service.

Takes in what the command line says, prints the answer in the command's own form, and returns the
exit status. The camera stays the service's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from edgeface.cli import NO, YES, print_json

at_camera = click.option(
    "--live", "--camera", "at_camera", is_flag=True, help="Ask the running service's camera."
)
within = click.option(
    "--within",
    type=click.FloatRange(0, 300, min_open=True),
    default=None,
    help="With --live: seconds to wait (5; to enroll 60).",
)

_THE_SERVICES = {"far", "fpir", "force", "gallery", "key_file", "model"}


def check(at_camera: bool, pictures: object, argument: str) -> None:
    """A usage error unless there is either a picture or --live, and what the service decides by
    its own settings is left to it."""
    if at_camera == bool(pictures):
        raise click.UsageError(f"give either {argument} or --live")
    context = click.get_current_context()
    for option in context.command.params:
        if not at_camera or option.name not in _THE_SERVICES:
            continue
        if context.get_parameter_source(option.name) is not ParameterSource.DEFAULT:
            raise click.UsageError(
                f"{option.opts[0]} cannot be given with --live: the service decides by its own "
                "settings"
            )


def verify(name: str, seconds: float | None, as_json: bool) -> int:
    """Is the person before the camera NAME? YES or NO."""
    limit = seconds or 5.0
    answer = _ask({"command": "verify", "name": name, "within": limit}, limit)
    if as_json:
        print_json(answer)
    elif not answer["seen"]:
        click.echo(f"no: nobody came before the camera within {limit:g} s")
    else:
        word, sign = ("yes", ">=") if answer["match"] else ("no", "<")
        click.echo(
            f"{word}: the person at the camera against {name}, "
            f"score {answer['score']:.3f} {sign} {answer['threshold']:.3f}"
        )
    return YES if answer["match"] else NO


def identify(seconds: float | None, as_json: bool) -> int:
    """Who is before the camera? YES if anyone was recognized."""
    limit = seconds or 5.0
    answer = _ask({"command": "identify", "within": limit}, limit)
    if as_json:
        print_json(answer)
    else:
        for face in answer["faces"]:
            click.echo(f"{face['name'] or 'unknown'}: score {face['score']:.3f}")
        if not answer["faces"]:
            click.echo("no face found")
    return YES if any(face["name"] for face in answer["faces"]) else NO


def enroll(name: str, seconds: float | None, as_json: bool) -> int:
    """Take pictures of NAME at the camera, guiding them, and enroll them."""
    limit = seconds or 60.0

    def guide(state: dict[str, Any]) -> None:
        click.echo(f"[{state['good']} of {state['wanted']}] {state['message']}", err=True)

    answer = _ask({"command": "enroll", "name": name, "within": limit}, limit + 10, guide)
    if as_json:
        print_json(answer)
    else:
        click.echo(
            f"enrolled {answer['name']}: {answer['added']} added, "
            f"{answer['templates']} templates in all"
        )
    return YES


def _ask(
    request: dict[str, Any], limit: float, progress: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Imported here, since a look at a picture should not pay for the service's settings."""
    from edgeface.service.client import ask

    return ask(request, limit, progress)
