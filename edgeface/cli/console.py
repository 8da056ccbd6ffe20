"""`edgeface console`"""

from __future__ import annotations

import os
import pwd
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import msgspec

import edgeface
from edgeface.cli.history import usual_history
from edgeface.cli.ownership import work_as_owner
from edgeface.cli.paths import UserPath
from edgeface.console.invitation import Invitation
from edgeface.console.options import ConsoleOptions
from edgeface.console.sessions import SCOPES, Tokens
from edgeface.errors import ConfigError
from edgeface.service.install import GROUP as USER
from edgeface.system.homes import own_folder

_SYSTEM = Path("/var/lib/edgeface-console")  # StateDirectory of the unit
_NEEDED = ("starlette", "uvicorn", "jinja2", "argon2", "multipart")
_state = click.option(
    "--state",
    type=UserPath(path_type=Path, file_okay=False),
    help=f"Folder of the console's own files (default: {_SYSTEM}, else your data folder).",
)


@click.group("console", invoke_without_command=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8700, show_default=True)
@click.option(
    "--lan",
    is_flag=True,
    help="Listen for the whole local network, with TLS, instead of this machine alone.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    help="With --lan: a host name by which it is called, besides this machine's own.",
)
@click.option(
    "--certificate",
    type=UserPath(path_type=Path, dir_okay=False, exists=True),
    help="With --lan: a PEM file (default: a certificate of its own).",
)
@click.option(
    "--key",
    type=UserPath(path_type=Path, dir_okay=False, exists=True),
    help="The key of --certificate.",
)
@_state
@click.pass_context
def command(
    context: click.Context,
    port: int,
    lan: bool,
    names: tuple[str, ...],
    certificate: Path | None,
    key: Path | None,
    state: Path | None,
) -> None:
    """Serve a page with which a phone runs this machine: people, history, status.

    It listens on this machine alone, unless --lan is given; then a password must be set before.
    """
    if context.invoked_subcommand is not None:
        return
    if not lan and (names or certificate or key):
        raise click.UsageError("--name, --certificate and --key are for --lan")
    if (certificate is None) != (key is None):
        raise click.UsageError("--certificate and --key go together")
    _require_libraries()
    options = console_options(state, port, lan, names, certificate, key)
    if lan:
        from edgeface.console.passwords import Password

        if not (Password(options.state).is_set or Invitation(options.state).waits):
            raise ConfigError(
                "set a password first: sudo edgeface console password, or make a link with which "
                "to set it: sudo edgeface console link --lan"
            )
    # Another program from here on, under the same number: what read the settings is not kept.
    line = msgspec.json.encode(options, enc_hook=str).decode()
    os.execv(sys.executable, [sys.executable, "-m", "edgeface.console", line])  # noqa: S606


@command.command("password")
@_state
def password(state: Path | None) -> None:
    """Set the console's password; whoever is logged in must log in again."""
    _require_libraries()
    from edgeface.console.passwords import Password

    folder = state_folder(state)
    text = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    _as_owner(folder)
    Password(folder).set(text)
    click.echo("the password is set")


@command.command("link")
@click.option("--port", type=click.IntRange(1, 65535), default=8700, show_default=True)
@click.option("--lan", is_flag=True, help="For a console that runs with --lan.")
@_state
def link(port: int, lan: bool, state: Path | None) -> None:
    """Make a link with which a browser sets the password; it works once, within a day."""
    folder = state_folder(state)
    _as_owner(folder)
    secret = Invitation(folder).make()
    where = f"https://{socket.gethostname()}.local" if lan else "http://localhost"
    click.echo(f"{where}:{port}/first/{secret}")


@command.command("token")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(list(SCOPES)), help="What it may do."
)
@click.option("--remove", is_flag=True, help="Remove it instead.")
@_state
def token(name: str, scopes: tuple[str, ...], remove: bool, state: Path | None) -> None:
    """Make a token with which a program uses the JSON interface; it is shown once."""
    if not name.isprintable() or len(name) > 50:
        raise click.UsageError("a token's name has at most 50 characters, all of them printable")
    if remove == bool(scopes):
        raise click.UsageError("give --scope, at least once, or --remove")
    folder = state_folder(state)
    _as_owner(folder)
    if remove:
        Tokens(folder).remove(name)
        click.echo(f"removed the token {name}")
    else:
        click.echo(Tokens(folder).add(name, tuple(dict.fromkeys(scopes))))


def console_options(
    state: Path | None,
    port: int,
    lan: bool,
    names: tuple[str, ...],
    certificate: Path | None = None,
    key: Path | None = None,
) -> ConsoleOptions:
    """Where everything is, by the system's settings."""
    from edgeface.service.client import sockets

    folder = state_folder(state)
    # The unit's own folder is no place for what belongs to the service.
    os.environ.pop("STATE_DIRECTORY", None)
    ask, administer = sockets()
    own = socket.gethostname()
    return ConsoleOptions(
        state=folder,
        socket=ask,
        admin_socket=administer,
        history=usual_history(),
        port=port,
        lan=lan,
        names=tuple(dict.fromkeys((*names, own, f"{own}.local"))),
        certificate=certificate,
        key=key,
        version=edgeface.__version__,
    )


def state_folder(chosen: Path | None) -> Path:
    """The folder of the console's own files."""
    if chosen is not None:
        return chosen
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    if _SYSTEM.is_dir() or _system_user() is not None:
        return _SYSTEM
    own = own_folder("data")
    if own is None:
        raise ConfigError(
            f"the user number {os.geteuid()} has no home folder for the console's files; name a "
            "folder with --state FOLDER, or set HOME"
        )
    return own / "edgeface-console"


def _as_owner(folder: Path) -> None:
    """What root writes into another user's folder it writes as that user. Before its first start
    the unit has no folder yet."""
    user = _system_user()
    if user is not None and folder == _SYSTEM and not folder.exists():
        folder.mkdir(mode=0o700)
        os.chown(folder, user.pw_uid, user.pw_gid)
    work_as_owner(folder / "password")


def _system_user() -> pwd.struct_passwd | None:
    """The user of the installed service, for root, who works for it; None for anybody else."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        return None


def _require_libraries() -> None:
    if any(find_spec(name) is None for name in _NEEDED):
        raise ConfigError("the console is not installed; run: pip install 'edgeface[console]'")
