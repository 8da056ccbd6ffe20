"""`edgeface audit`"""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec

from edgeface.cli import NO, YES, options, print_json
from edgeface.cli.paths import UserPath
from edgeface.service.audit import read_audit
from edgeface.service.audit_file import AuditRecord
from edgeface.service.config import SYSTEM_CONFIG, SYSTEM_STATE, Config, audit_path, load_config


@click.command("audit")
@click.option(
    "--file",
    "path",
    type=UserPath(path_type=Path, dir_okay=False),
    help="The log; by default that of the system's settings.",
)
@click.option(
    "--anchor",
    metavar="SHA256",
    help="The hash of a record that must be there, as the journal or you noted it.",
)
@options.as_json
def command(path: Path | None, anchor: str | None, as_json: bool) -> int:
    """Show who changed what through the service, and whether the log is whole.

    The service's log can be read by its own user and root. Exit status 1: a record was changed or
    removed. The hash of the newest record stands in FILE.head and in the journal: who removed
    records from both files is found by --anchor with the last hash that the journal names.
    """
    path = path or _usual()
    records, problems = read_audit(path, anchor)
    if as_json:
        print_json(
            {
                "file": str(path),
                "records": [msgspec.to_builtins(record) for record in records],
                "problems": problems,
            }
        )
    else:
        for record in records:
            click.echo(_line(record))
        for problem in problems:
            click.echo(f"{path}: {problem}", err=True)
        if not records:
            click.echo(f"nothing is recorded in {path}")
    return NO if problems else YES


def _usual() -> Path:
    """The log that the system's service keeps, where there is one; else this user's."""
    config = load_config(SYSTEM_CONFIG) if os.access(SYSTEM_CONFIG, os.R_OK) else Config()
    systems = config.audit.file is None and "EDGEFACE_GALLERY" not in os.environ
    if systems and SYSTEM_STATE.is_dir():
        return SYSTEM_STATE / audit_path(config).name
    return audit_path(config)


def _line(record: AuditRecord) -> str:
    who = f"{record.user or 'no name'} (uid {record.uid}, pid {record.pid})"
    what = f"{record.command} {record.name}" if record.name else record.command
    return f"{record.time} {who}: {what}: {record.outcome}" + (
        f" ({record.detail})" if record.detail else ""
    )
