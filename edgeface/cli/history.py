"""`edgeface history`"""

from __future__ import annotations

import os
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from edgeface.cli import options, print_json
from edgeface.cli.ownership import work_as_owner
from edgeface.cli.paths import UserPath
from edgeface.errors import ConfigError
from edgeface.events import EVENT_TYPES
from edgeface.gallery.names import person_name
from edgeface.history.reading import Attendance, History, Wanted, local
from edgeface.history.table import ATTENDANCE_COLUMNS, EVENT_COLUMNS, as_csv
from edgeface.service.config import SYSTEM_CONFIG, SYSTEM_STATE, Config, history_path, load_config

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command("history")
@click.option("--person", help="Only events about this person.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(EVENT_TYPES),
    help="Only events of this kind; may be given several times.",
)
@click.option("--day", type=_DAY, help="Only events of this day, or from this day to --until.")
@click.option("--until", type=_DAY, help="With --day: the last day.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=None,
    help="At most so many events, the newest (100; with --csv and --attendance all).",
)
@click.option("--attendance", is_flag=True, help="Who was recognized on which day.")
@click.option("--csv", "csv_wanted", is_flag=True, help="Print CSV for a spreadsheet.")
@click.option(
    "--file",
    "path",
    type=UserPath(path_type=Path, dir_okay=False),
    help="The history; by default that of the system's settings.",
)
@options.as_json
def command(
    person: str | None,
    kinds: tuple[str, ...],
    day: datetime | None,
    until: datetime | None,
    limit: int | None,
    attendance: bool,
    csv_wanted: bool,
    path: Path | None,
    as_json: bool,
) -> None:
    """Show past events, newest first: who came when.

    The service keeps them where its settings have [history]. They can be read by its own user and
    root. Days are those of this machine's time zone.
    """
    wanted = _wanted(person, kinds, day, until)
    if csv_wanted and as_json:
        raise click.UsageError("give either --csv or --json")
    if attendance and kinds:
        raise click.UsageError("--attendance counts recognitions alone; leave out --kind")
    path = path or usual_history()
    _as_owner(path)
    with History(path) as history:
        if attendance:
            _print_attendance(path, history.attendance(wanted)[:limit], csv_wanted, as_json)
            return
        if csv_wanted:
            _print_lines(as_csv(EVENT_COLUMNS, history.events(wanted, limit)))
            return
        events = [_without_place(event) for event in history.events(wanted, limit or 100)]
    if as_json:
        print_json({"file": str(path), "events": events})
        return
    for event in events:
        click.echo(_line(event))
    if not events:
        click.echo(f"no such event is recorded in {path}")


def _wanted(
    person: str | None, kinds: tuple[str, ...], day: datetime | None, until: datetime | None
) -> Wanted:
    if until is not None and day is None:
        raise click.UsageError("--until needs --day, the first day")
    first: date | None = day.date() if day is not None else None
    last = until.date() if until is not None else first
    if first is not None and last is not None and last < first:
        raise click.UsageError("--until lies before --day")
    return Wanted(person_name(person) if person is not None else None, kinds, first, last)


def usual_history() -> Path:
    """The history that the system's service keeps, where there is one; else this user's."""
    config = load_config(SYSTEM_CONFIG) if os.access(SYSTEM_CONFIG, os.R_OK) else Config()
    named = config.history is not None and config.history.file is not None
    if not named and "EDGEFACE_GALLERY" not in os.environ and SYSTEM_STATE.is_dir():
        return SYSTEM_STATE / history_path(config).relative_to(history_path(config).parents[1])
    return history_path(config)


def _as_owner(path: Path) -> None:
    """What root reads it reads as the file's owner: files beside it that SQLite makes would keep
    the service out if they were root's."""
    if os.geteuid() == 0 and path.is_file():
        work_as_owner(path)
        if os.geteuid() == 0 and path.stat().st_uid != 0:
            raise ConfigError(
                f"{path} belongs to another user, whose folder is root's; run this as that user"
            )


def _print_attendance(path: Path, found: list[Attendance], csv_wanted: bool, as_json: bool) -> None:
    if as_json:
        print_json({"file": str(path), "attendance": [one.as_dict() for one in found]})
    elif csv_wanted:
        _print_lines(as_csv(ATTENDANCE_COLUMNS, (one.as_dict() for one in found)))
    else:
        for one in found:
            times = f"{one.times} time{'s' if one.times > 1 else ''}"
            first, last = (f"{local(moment):%H:%M}" for moment in (one.first, one.last))
            click.echo(f"{one.day} {one.name}: {first} to {last}, {times}")
        if not found:
            click.echo(f"nobody was recognized then, says {path}")


def _print_lines(lines: Any) -> None:
    for line in lines:
        click.echo(line, nl=False)


def _without_place(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != "seq"}


def _line(event: dict[str, Any]) -> str:
    line = f"{local(event['time']):%Y-%m-%d %H:%M:%S} {event['type']}"
    if event["name"] is not None:
        line += f" {event['name']}"
    if event["score"] is not None:
        line += f", score {event['score']:.3f}"
    return line + (f": {event['message']}" if event.get("message") else "")
