"""Options that several commands share, each defined once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from edgeface.cli.paths import UserPath
from edgeface.decide import DEFAULT_FAR, DEFAULT_FPIR

IMAGE = UserPath(path_type=Path)

_gallery = click.option(
    "--gallery",
    type=UserPath(path_type=Path, dir_okay=False),
    help="Gallery file (default: $EDGEFACE_GALLERY, else your data folder).",
)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def gallery(command: _Command) -> _Command:
    """--gallery, for a command that works on one: it does so as whoever owns the folder."""

    @wraps(command)
    def as_owner(**parameters: Any) -> Any:
        if not parameters.get("at_camera"):  # then the service does it
            from edgeface.cli.ownership import work_as_owner  # not for a command without a gallery

            work_as_owner(parameters["gallery"], parameters)
            if not parameters.get("through_service"):
                from edgeface.cli.which_gallery import say_which

                say_which(click.get_current_context().info_name or "", parameters["gallery"])
        return command(**parameters)

    return _gallery(cast(_Command, as_owner))


key_file = click.option(
    "--key-file",
    type=UserPath(path_type=Path, dir_okay=False),
    help="Key of an encrypted gallery (default: $EDGEFACE_GALLERY_KEY_FILE, "
    "$EDGEFACE_GALLERY_KEY, else systemd's credential).",
)
model = click.option(
    "--model",
    type=UserPath(path_type=Path, dir_okay=False),
    help="A shipped model's name (see: edgeface models) or a file made by convert-model (default: "
    "the one in use).",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def on_gallery(command: _Command) -> _Command:
    """The options that every command on a gallery has: its file, key and model, and --json."""
    return gallery(key_file(model(as_json(command))))


def counted(count: int, noun: str, several: str | None = None) -> str:
    """A number with its noun: "1 template", "2 templates"."""
    return f"{count} {noun if count == 1 else several or noun + 's'}"


def scored(score: float, threshold: float, *, match: bool) -> str:
    """A score and what it needs, in words."""
    if match:
        return f"score {score:.3f} >= {threshold:.3f}"
    return f"not enough: {score:.3f} needs {threshold:.3f}"


force = click.option(
    "--force", is_flag=True, help="Enroll in spite of quality, duplicate or lookalike warnings."
)
far = click.option(
    "--far",
    type=float,
    default=DEFAULT_FAR,
    show_default=True,
    help="Share of impostor attempts that may pass.",
)
fpir = click.option(
    "--fpir",
    type=float,
    default=DEFAULT_FPIR,
    show_default=True,
    help="Share of strangers that may be taken for anyone, whatever the gallery's size.",
)
