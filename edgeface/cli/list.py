"""`edgeface list [NAME]`"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from edgeface.cli import live, options, print_json
from edgeface.decide import correction_for
from edgeface.enrollment import lookalike_threshold
from edgeface.gallery.choice import model_in_use
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import Gallery, default_gallery_path
from edgeface.gallery.names import person_name
from edgeface.gallery.report import PersonReport, people_reports


@click.command("list")
@click.argument("name", required=False)
@live.through_service
@options.on_gallery
def command(
    name: str | None,
    through_service: bool,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Show who is enrolled, with how many templates, how alike those are, and who is nearest.

    With NAME each of the person's templates is shown with its number. Where the people look so much
    alike that strangers like them would pass, it says how far the thresholds are raised for that.

    With --service the running service says who is in its own gallery, without sudo.
    """
    if through_service:
        live.refuse_gallery_options("--service")
        where = "the service's gallery"
        answer = live.administer("list")
        reports = [PersonReport(**report) for report in answer["people"]]
        raised, raised_for = answer["threshold_raised"], answer["threshold_note"]
    else:
        path = gallery or default_gallery_path()
        loaded = model_in_use(path, model)
        opened, where = Gallery.open(path, loaded, find_key(key_file)), str(path)
        if name is not None:
            opened.require(person_name(name))
        reports = people_reports(opened, lookalike_threshold(opened, loaded))
        correction = correction_for(loaded, opened)
        raised, raised_for = round(correction.raised, 4), correction.sentence
    if name is not None:
        reports = [report for report in reports if report.name == person_name(name)]
    if as_json:
        people = [vars(report) for report in reports]
        print_json({"people": people, "threshold_raised": raised, "threshold_note": raised_for})
        return
    for report in reports:
        click.echo(_line(report))
        for template in _templates(report) if name is not None else ():
            click.echo(template)
    if raised_for:
        click.echo(raised_for)
    if not reports:
        whom = "nobody" if name is None else f"no {name}"
        click.echo(f"{whom} is enrolled in {where}; add someone with: edgeface enroll")
    for note in _notes(reports):
        click.echo(f"note: {note}", err=True)


def _line(report: PersonReport) -> str:
    line = f"{report.name}: {options.counted(report.templates, 'template')}"
    if report.consistency is not None:
        line += f", {report.consistency:.2f} alike"
    if report.nearest is not None:
        line += f", nearest {report.nearest} {report.nearest_score:.2f}"
    known = [day for day in report.added if day is not None]
    if known:
        line += f", enrolled {min(known)}"
    return line


def _templates(report: PersonReport) -> Iterator[str]:
    """A line for each template, with the number that `remove --template` takes."""
    for number, (day, alike) in enumerate(zip(report.added, report.alike, strict=True), 1):
        likeness = f", {alike:.2f} alike" if alike is not None else ""
        yield f"  {number}: {day or 'day not known'}{likeness}"


def _notes(reports: list[PersonReport]) -> list[str]:
    """What should be looked at, once for two people who look alike."""
    shown: dict[frozenset[str | None], str] = {}
    for report in reports:
        if report.note is not None:
            shown.setdefault(frozenset((report.name, report.nearest)), report.note)
    return [*shown.values()]
