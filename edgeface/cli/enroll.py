"""`edgeface enroll NAME IMAGE...`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import YES, live, options, print_json
from edgeface.verifier import FaceVerifier


@click.command("enroll")
@click.argument("name")
@click.argument("images", nargs=-1, type=options.IMAGE)
@live.at_camera
@live.within
@options.force
@options.on_gallery
def command(
    name: str,
    images: tuple[Path, ...],
    at_camera: bool,
    within: float | None,
    force: bool,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> int:
    """Add a person, or more pictures of one, to the gallery.

    Each IMAGE shows one face: NAME's. Two to five pictures on different days work best.
    With --live, and no IMAGE, the running service takes them through its camera and guides you.
    """
    live.check(at_camera, images, "IMAGE...")
    if not images:
        return live.enroll(name, within, as_json)
    done = FaceVerifier(gallery, model, key_file=key_file).enroll(name, images, force=force)
    rejected = [
        {"image": str(images[refused.position]), "reason": refused.reason}
        for refused in done.rejected
    ]
    if as_json:
        print_json(
            {
                "name": done.name,
                "templates": done.templates,
                "added": done.added,
                "rejected": rejected,
                "warnings": done.warnings,
            }
        )
        return YES
    for refusal in rejected:
        click.echo(f"left out {refusal['image']}: {refusal['reason']}", err=True)
    for warning in done.warnings:
        click.echo(f"note: {warning}", err=True)
    templates = options.counted(done.templates, "template")
    click.echo(f"enrolled {done.name}: {done.added} added, {templates} in all")
    return YES
