"""What commands do with --live or --service: they ask the running service.

Takes in the command line's arguments, prints the answer in the command's own form, and returns the
exit status. It never opens the camera, which the service holds.
"""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from edgeface.cli import NO, YES, print_json
from edgeface.cli.options import counted, scored

at_camera = click.option(
    "--live", "--camera", "at_camera", is_flag=True, help="Use the running service's camera."
)
within = click.option(
    "--within",
    type=click.FloatRange(0, 300, min_open=True),
    default=None,
    help="With --live: seconds to wait (5; with a challenge 30; to enroll 60).",
)

challenge = click.option(
    "--challenge", is_flag=True, help="With --live: ask for gestures in an unpredictable order."
)

through_service = click.option(
    "--service", "through_service", is_flag=True, help="Have the running service do it."
)

_PATIENCE = 30.0  # seconds to wait for an answer where the service knows its own limit
_SET_BY_SERVICE = {"far", "fpir", "force", "gallery", "key_file", "model"}


def check(at_camera: bool, pictures: object, argument: str) -> None:
    """A usage error unless there is either a picture or --live, and with --live none of the options
    for which the service has its own settings."""
    if at_camera == bool(pictures):
        raise click.UsageError(f"give either {argument} or --live")
    if at_camera:
        refuse_gallery_options("--live")


def refuse_gallery_options(reason: str) -> None:
    """A usage error where an option was given that the service has settings of its own for."""
    context = click.get_current_context()
    for option in context.command.params:
        if option.name not in _SET_BY_SERVICE:
            continue
        if context.get_parameter_source(option.name) is not ParameterSource.DEFAULT:
            raise click.UsageError(
                f"{option.opts[0]} cannot be given with {reason}: the service decides by its own "
                "settings"
            )


def administer(command: str, **more: Any) -> dict[str, Any]:
    """Have the service carry out an administrative command that takes no camera."""
    return _ask(command, None, administering=True, **more)


def verify(name: str, seconds: float | None, challenge: bool, as_json: bool) -> int:
    """Is the person at the camera NAME? YES or NO."""
    answer = _ask("verify", seconds, name=name, challenge=challenge)
    if as_json:
        print_json(answer)
    elif not answer["seen"]:
        click.echo("no: nobody came to the camera in time")
    else:
        word = "yes" if answer["match"] else "no"
        click.echo(
            f"{word}: the person at the camera against {name}{_compared(answer)}; {_alive(answer)}"
            + _noted(answer)
        )
    return YES if answer["match"] else NO


def identify(seconds: float | None, as_json: bool) -> int:
    """Who is at the camera? YES if anyone was recognized."""
    answer = _ask("identify", seconds)
    if as_json:
        print_json(answer)
    else:
        for face in answer["faces"]:
            score = f"score {face['score']:.3f}; " if face["score"] is not None else ""
            click.echo(f"{face['name'] or 'unknown'}: {score}{_alive(face)}{_noted(face)}")
        if not answer["faces"]:
            click.echo("no face found")
    return YES if any(face["name"] for face in answer["faces"]) else NO


def _compared(answer: dict[str, Any]) -> str:
    """Score and threshold in words; nothing for an asker whom the service does not tell them."""
    if answer["score"] is None:
        return ""
    score, threshold = answer["score"], answer["threshold"]
    match = answer["match"] or "note" in answer  # recognized, but the rules refuse
    if not match and score >= threshold:
        return f", score {score:.3f} >= {threshold:.3f}, but not in enough pictures"
    return f", {scored(score, threshold, match=match)}"


def _noted(answer: dict[str, Any]) -> str:
    """Why nothing is opened to somebody who was recognized."""
    return f" ({answer['note']})" if answer.get("note") else ""


def _alive(answer: dict[str, Any]) -> str:
    """What was found about liveness, in words."""
    found = f"liveness {answer['liveness']}"
    if answer["liveness"] not in {"live", "not judged"} and answer["reason"]:
        found += f": {answer['reason']}"
    if "challenge" in answer:
        status = answer["challenge"]
        found += f"; challenge {status['state']}"
        if status["state"] != "passed":
            found += f": {status['prompt']}"
    return found


def enroll(name: str, seconds: float | None, as_json: bool) -> int:
    """Take pictures of NAME at the camera, with directions, and enroll them."""
    answer = _ask("enroll", seconds or 60.0, administering=True, name=name)
    if as_json:
        print_json(answer)
    else:
        click.echo(
            f"enrolled {answer['name']}: {answer['added']} added, "
            f"{counted(answer['templates'], 'template')} in all"
        )
    return YES


def _ask(
    command: str, seconds: float | None, *, administering: bool = False, **more: Any
) -> dict[str, Any]:
    """Ask the service, and show its progress on stderr.

    Imported here, so that commands on pictures do not load the service's settings.
    """
    from edgeface.service.client import ask

    request = {"command": command, **more}
    if seconds is not None:
        request["within"] = seconds
    return ask(request, (seconds or _PATIENCE) + 10, _guide, administering=administering)


def _guide(state: dict[str, Any]) -> None:
    """Show what the person at the camera should do, and how many pictures have been taken."""
    count = f"[{state['good']} of {state['wanted']}] " if "good" in state else ""
    click.echo(f"{count}{state['message']}", err=True)
