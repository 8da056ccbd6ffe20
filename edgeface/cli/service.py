"""`edgeface service install|uninstall|status`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import NO, YES, options, print_json
from edgeface.cli.paths import UserPath
from edgeface.errors import ConfigError, EdgeFaceError
from edgeface.service import install as unit
from edgeface.service.config import SYSTEM_CONFIG, load_config

_root = click.option(
    "--root",
    type=UserPath(path_type=Path, file_okay=False),
    default=Path("/"),
    show_default=True,
    help="Write below this folder and do not call systemd (for packaging).",
)


@click.group("service")
def command() -> None:
    """Run `edgeface run` under systemd, from this environment."""


@command.command("install")
@_root
@click.option("--no-start", is_flag=True, help="Do not enable and start it.")
def install(root: Path, no_start: bool) -> int:
    """Write the unit, its drop-ins and, if there are none, the settings; then start it.

    It waits for the first picture. Exit status 1: it runs, but none has come.
    """
    for path in unit.install(root):
        click.echo(f"wrote {path}")
    if root != Path("/"):
        return YES
    unit.make_user()
    unit.close_settings(root)
    unit.systemctl("daemon-reload")
    if no_start:
        return YES
    if waits := unit.start_service():
        click.echo(f"started: {waits}; look for what is wrong with: sudo edgeface doctor")
        return NO
    click.echo("started, and it sees; check it with: edgeface service status")
    return YES


@command.command("uninstall")
@_root
def uninstall(root: Path) -> None:
    """Stop the service and remove its unit; settings and gallery stay."""
    if root == Path("/"):
        try:
            unit.systemctl("disable", "--now", unit.UNIT, unit.CONSOLE)
        except ConfigError as error:
            click.echo(f"edgeface: {error}", err=True)
        _forget(SYSTEM_CONFIG)
    for path in unit.uninstall(root):
        click.echo(f"removed {path}")
    if root == Path("/"):
        unit.systemctl("daemon-reload")


@command.command("status")
@options.as_json
def status(as_json: bool) -> int:
    """Show what systemd reports about the service. Exit 0 if it runs, 1 if not."""
    shown = unit.systemctl(
        "show", unit.UNIT, "--property=LoadState,ActiveState,SubState,StatusText,NRestarts,MainPID"
    )
    found = dict(line.partition("=")[::2] for line in shown.splitlines())
    if as_json:
        print_json(found)
    elif found.get("LoadState") != "loaded":
        click.echo("not installed; install it with: sudo edgeface service install")
    else:
        click.echo(
            f"{found['ActiveState']} ({found['SubState']}), {found['NRestarts']} restarts"
            + (f": {found['StatusText']}" if found.get("StatusText") else "")
        )
    return YES if found.get("ActiveState") == "active" else NO


@command.command("outputs-off", hidden=True)
@click.option("--config", "path", type=UserPath(path_type=Path), required=True)
def outputs_off(path: Path) -> None:
    """Switch off the GPIO output that the service held; the unit calls this after its end.

    The settings count only where the service has noted nothing: they may have changed since.
    """
    from edgeface.sinks.gpio import Held, switch_off

    held = Held.noted()
    if held is None:
        settings = load_config(path).gpio
        held = Held(settings.pin, settings.active_high) if settings is not None else None
    if held is not None:
        switch_off(held)


@command.command("forget", hidden=True)
@click.option("--config", "path", type=UserPath(path_type=Path), default=SYSTEM_CONFIG)
def forget(path: Path) -> None:
    """Clear what the MQTT broker keeps of this door; whatever removes the service calls this."""
    _forget(path)


def _forget(path: Path) -> None:
    """What cannot be cleared is said, and keeps nobody from removing the service."""
    try:
        if not path.exists() or (settings := load_config(path).mqtt) is None:
            return
        from edgeface.sinks.mqtt import Mqtt

        Mqtt(unit.with_password_from_its_file(settings)).clear()
        click.echo(f"cleared what {settings.host} kept of this door")
    except EdgeFaceError as error:
        click.echo(f"edgeface: the MQTT broker still keeps this door's topics: {error}", err=True)


@command.command("gate", hidden=True)
@click.option("--config", "path", type=UserPath(path_type=Path), required=True)
@click.option("--to", type=UserPath(path_type=Path), required=True)
def gate(path: Path, to: Path) -> None:
    """Pass administrators on to the service's own socket; the unit edgeface-gate runs this."""
    settings = load_config(path).control
    if settings is None:
        click.echo("nobody can administer the service: its settings have no [control]", err=True)
        return
    from edgeface.service.gate import serve_gate

    serve_gate(settings, to)
