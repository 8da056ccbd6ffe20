"""The command line: one driver of the pipeline. Exit 0 yes or success, 1 no match, 2 error.

Each command is a module that is imported only when it is called, so that `edgeface verify` does not
load what `edgeface eval` needs. This module knows the names of the commands; it holds no face
logic.
"""

from __future__ import annotations

import os
from importlib import import_module

import click

import edgeface
from edgeface.pipeline.containers.layout import MOST_MEGAPIXELS
from edgeface.system.program import ERROR, NO, YES, print_json, run_command

__all__ = ["ERROR", "NO", "YES", "cli", "main", "print_json"]

_COMMANDS = {
    "audit": "Show who changed what through the service.",
    "bench": "Measure latency, memory, start-up and gallery search on this machine.",
    "config": "Check the settings of the service.",
    "console": "Serve a page for people, history and status (the extra [console]).",
    "demo": "Show the whole pipeline on pictures that ship with the package.",
    "doctor": "Check everything the service needs, and say what to do.",
    "door": "Take the people of a hub that serves many doors.",
    "encode": "Print the embeddings of the main faces of pictures.",
    "enroll": "Add a person, or more pictures of one, to the gallery.",
    "eval": "Measure accuracy on a list of pairs in LFW's format.",
    "export": "Write people to a file for another device.",
    "gallery": "Check, compact, encrypt or restore the gallery.",
    "history": "Show past events: who came when.",
    "hub": "Keep one register of people for many doors (the extra [hub]).",
    "identify": "Who is in this picture? (1:K, every face)",
    "import": "Add the people of an exported file.",
    "list": "Show who is enrolled.",
    "merge": "Make two names one person.",
    "model": "Choose the model that a gallery is used with.",
    "models": "Show the models that ship with this version.",
    "reload": "Have the running service read its settings again.",
    "remove": "Remove a person, or one template, from the gallery.",
    "rename": "Give a person another name.",
    "rules": "Show or set when somebody may open something.",
    "run": "Watch a camera and report who is in view (the service).",
    "service": "Install, remove or show the systemd service.",
    "status": "Show what the running service is doing.",
    "verify": "Is this the person? (1:1)",
}
_MODULES = {"import": "import_"}  # where a command's name cannot be a module's


class _Commands(click.Group):
    """Imports a command's module when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS]  # `list` is a module here once that command was called

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = _MODULES.get(cmd_name, cmd_name)
        command: click.Command = import_module(f"edgeface.cli.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*_COMMANDS.items()])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 yes or success, 1 no match, 2 error.",
)
@click.version_option(edgeface.__version__, prog_name="edgeface")
@click.option("--debug", is_flag=True, help="Show a traceback on an error.")
def cli(debug: bool) -> None:
    """Face verification and recognition on this device, offline."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status; the entry point of `edgeface`."""
    _limit_opencv()
    run_command(cli, arguments, "edgeface")


def _limit_opencv() -> None:
    """A second wall behind the pictures' own: OpenCV reads it once, when it is imported.

    Here and not in the package, whose importers have pictures of their own to read.
    """
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_MEGAPIXELS * 1_000_000))
