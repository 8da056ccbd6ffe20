"""`edgeface rules [NAME]`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from edgeface.cli import live, options, print_json
from edgeface.gallery.choice import model_in_use
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import Gallery, default_gallery_path
from edgeface.gallery.names import person_name
from edgeface.gallery.rules import OUTPUTS, Rules, RulesChange
from edgeface.gallery.rules_file import as_dict, change_rules, read_rules

_ANY = "any"


@click.command("rules")
@click.argument("name", required=False)
@click.option("--hours", help="Such as 'mon-fri 08:00-18:00, sat 09:00-12:00'; never; any.")
@click.option("--until", help="The last day, such as 2026-12-31; any.")
@click.option(
    "--output",
    "outputs",
    multiple=True,
    help=f"What may act upon the person: {', '.join(OUTPUTS)}, as often as needed; any.",
)
@live.through_service
@options.on_gallery
def command(
    name: str | None,
    hours: str | None,
    until: str | None,
    outputs: tuple[str, ...],
    through_service: bool,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Show or set when NAME may open something, until which day, and which outputs may act.

    Who comes at another time is recognized, but nothing opens. Each option replaces that rule
    alone, and `any` removes it. Without options the rules are shown, without NAME everybody's.

    With --service the running service does it, for its own gallery, without sudo.
    """
    change = _change(hours, until, outputs)
    if change and name is None:
        raise click.UsageError("give the NAME whose rules are to be set")
    if through_service:
        live.refuse_gallery_options("--service")
        people = _through_service(name, change)
    else:
        path = gallery or default_gallery_path()
        opened = Gallery.open(path, model_in_use(path, model), find_key(key_file))
        if name is not None:
            opened.require(person_name(name))
        people = _on_file(path, name, change)
    if as_json:
        print_json({"people": people})
        return
    for person in people:
        click.echo(f"{person['name']}: {_in_words(person)}")
    if not people:
        click.echo("nobody has rules: everybody enrolled may open everything at any time")


def _change(hours: str | None, until: str | None, outputs: tuple[str, ...]) -> dict[str, Any]:
    """What is to be set, as the service takes it: null for no limit, nothing for what stays."""
    change: dict[str, Any] = {}
    if hours is not None:
        change["hours"] = None if hours == _ANY else hours
    if until is not None:
        change["until"] = None if until == _ANY else until
    if outputs:
        change["outputs"] = None if _ANY in outputs else list(outputs)
    return change


def _through_service(name: str | None, change: dict[str, Any]) -> list[dict[str, Any]]:
    if name is None:
        found = live.administer("list")["rules"]
        return [{"name": person, **rules} for person, rules in found.items()]
    more = {"rules": change} if change else {}
    return [live.administer("rules", name=name, **more)]


def _on_file(path: Path, name: str | None, change: dict[str, Any]) -> list[dict[str, Any]]:
    found = read_rules(path)
    if name is None:
        return [{"name": person, **as_dict(rules)} for person, rules in found.items()]
    person = person_name(name)
    rules = msgspec.convert(change, RulesChange).applied(found.get(person, Rules()))
    if change:
        change_rules(path, person, rules)
    return [{"name": person, **as_dict(rules)}]


def _in_words(person: dict[str, Any]) -> str:
    parts = []
    if person["hours"] is not None:
        parts.append(person["hours"])
    if person["until"] is not None:
        parts.append(f"until {person['until']}")
    if person["outputs"] is not None:
        parts.append(f"outputs: {', '.join(person['outputs']) or 'none'}")
    return "; ".join(parts) or "no limit"
