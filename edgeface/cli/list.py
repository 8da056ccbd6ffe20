"""`edgeface list`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import live, options, print_json
from edgeface.decide import correction_for
from edgeface.gallery.encryption import find_key
from edgeface.gallery.gallery import Gallery, default_gallery_path
from edgeface.gallery.report import PersonReport, people_reports
from edgeface.pipeline.model_file import load_model


@click.command("list")
@live.through_service
@options.on_gallery
def command(
    through_service: bool,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Show who is enrolled, with how many templates, how alike those are, and who is nearest.

    Where the people look so much alike that strangers like them would pass, it says how far the
    thresholds are raised for that.

    With --service the running service says who is in its own gallery, without sudo.
    """
    if through_service:
        live.refuse_gallery_options("--service")
        where = "the service's gallery"
        answer = live.administer("list")
        reports = [PersonReport(**report) for report in answer["people"]]
        raised, note = answer["threshold_raised"], answer["threshold_note"]
    else:
        path = gallery or default_gallery_path()
        used, where = load_model(model), str(path)
        opened = Gallery.open(path, used, find_key(key_file))
        reports = people_reports(opened)
        correction = correction_for(used, opened)
        raised, note = round(correction.raised, 4), correction.sentence
    if as_json:
        people = [vars(report) for report in reports]
        print_json({"people": people, "threshold_raised": raised, "threshold_note": note})
        return
    for report in reports:
        click.echo(_line(report))
    if note:
        click.echo(note)
    if not reports:
        click.echo(f"nobody is enrolled in {where}; add someone with: edgeface enroll")


def _line(report: PersonReport) -> str:
    line = f"{report.name}: {report.templates} template{'s' if report.templates > 1 else ''}"
    if report.consistency is not None:
        line += f", {report.consistency:.2f} alike"
    if report.nearest is not None:
        line += f", nearest {report.nearest} {report.nearest_score:.2f}"
    return line
