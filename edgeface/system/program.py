"""Runs a command and turns its outcome into an exit status, in one way for every command.

Takes in a click command and its arguments, hands on the exit status of the process and, for an
error, one sentence on stderr (and a JSON object on stdout with --json). It knows no face logic.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any, NoReturn

import click
import msgspec

from edgeface.errors import EdgeFaceError
from edgeface.system.legible import legible
from edgeface.system.secret import dots

YES, NO, ERROR = 0, 1, 2
_INTERRUPTED = 130  # what a shell reports after Ctrl-C


def run_command(command: click.Command, arguments: list[str] | None, name: str) -> NoReturn:
    """Run `command` as the program `name` and exit with its status.

    `arguments` are those of the process where None. With --debug among them an error shows its
    traceback.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(_status(command, arguments, name))


def _status(command: click.Command, arguments: list[str], name: str) -> int:
    status = ERROR
    try:
        status = command.main(arguments, prog_name=name, standalone_mode=False) or YES
    except click.exceptions.Exit as stop:
        status = stop.exit_code
    except click.Abort:
        status = _INTERRUPTED
    except click.ClickException as error:
        error.show()
        _print_error(error.format_message(), arguments)
    except EdgeFaceError as error:
        if "--debug" in arguments:
            raise
        click.echo(f"{name}: {error}", err=True)
        _print_error(str(error), arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        # Not 1, which would mean "no match".
        _print_unforeseen(error, name, debug="--debug" in arguments)
    return status


def _print_unforeseen(error: Exception, name: str, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    sentence = (
        f"an unexpected error ({type(error).__name__}: {error}); run it again with {name} --debug, "
        "and report what it prints"
    )
    click.echo(f"{name}: {' '.join(sentence.split())}", err=True)


def _print_error(sentence: str, arguments: list[str]) -> None:
    if "--json" in arguments:
        print_json({"error": legible(sentence)})


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    try:
        text = msgspec.json.encode(value, enc_hook=dots).decode()
    except UnicodeEncodeError:  # a file name that is not UTF-8
        import json

        text = json.dumps(msgspec.to_builtins(value))
    click.echo(text)
