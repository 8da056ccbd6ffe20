"""The command line: one driver of the line. Exit 0 yes or success, 1 no match, 2 error.

Each command is a module that is imported only when it is called, so that `edgeface verify` does not
pay for what `edgeface eval` needs. This module knows the exit codes and how an error is told; it
holds no face logic.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click
import msgspec

import edgeface
from edgeface.errors import EdgeFaceError

YES, NO, ERROR = 0, 1, 2

_COMMANDS = {
    "bench": "Measure latency, memory, start-up and gallery search here.",
    "config": "Check the settings of the service.",
    "demo": "Show the whole line on pictures that ship with the package.",
    "doctor": "Look at everything the service needs, and say what to do.",
    "encode": "Print the embeddings of the main faces of pictures.",
    "enroll": "Add a person, or more pictures of one, to the gallery.",
    "eval": "Measure accuracy on a list of pairs in LFW's format.",
    "export": "Write people to a file for another device.",
    "gallery": "Check, compact or encrypt the gallery.",
    "identify": "Who is in this picture? (1:K, every face)",
    "import": "Add the people of an exported file.",
    "list": "Show who is enrolled.",
    "reload": "Have the running service read its settings anew.",
    "remove": "Remove a person from the gallery.",
    "run": "Watch a camera and report who is seen (the service).",
    "service": "Install, remove or look at the systemd service.",
    "status": "Show what the running service does.",
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
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        status = cli.main(arguments, prog_name="edgeface", standalone_mode=False)
    except click.exceptions.Exit as stop:
        status = stop.exit_code
    except click.Abort:
        status = 130  # what a shell reports after Ctrl-C
    except click.ClickException as error:
        error.show()
        if "--json" in arguments:
            print_json({"error": error.format_message()})
        status = ERROR
    except EdgeFaceError as error:
        if "--debug" in arguments:
            raise
        click.echo(f"edgeface: {error}", err=True)
        if "--json" in arguments:
            print_json({"error": str(error)})
        status = ERROR
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = ERROR
    except Exception as error:
        # Not 1, which would say "no match"; what went wrong is ours, not the caller's.
        if "--debug" in arguments:
            import traceback

            traceback.print_exc()
        sentence = (
            f"something unforeseen went wrong ({type(error).__name__}: {error}); run it again with "
            "edgeface --debug, and report what it prints"
        )
        click.echo(f"edgeface: {' '.join(sentence.split())}", err=True)
        status = ERROR
    sys.exit(status or YES)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # a file name that is not UTF-8
        import json

        text = json.dumps(msgspec.to_builtins(value))
    click.echo(text)
