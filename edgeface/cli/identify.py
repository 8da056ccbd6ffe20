"""`edgeface identify IMAGE`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import NO, YES, live, options, print_json
from edgeface.verifier import FaceVerifier


@click.command("identify")
@click.argument("image", type=options.IMAGE, required=False)
@live.at_camera
@live.within
@options.fpir
@options.on_gallery
def command(
    image: Path | None,
    at_camera: bool,
    within: float | None,
    fpir: float,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> int:
    """Who is in IMAGE, face by face? Exit 0 if anyone was recognized, 1 if nobody.

    With --live, and no IMAGE, the running service identifies the people at its camera.
    """
    live.check(at_camera, image, "IMAGE")
    if image is None:
        return live.identify(within, as_json)
    found = FaceVerifier(gallery, model, key_file=key_file).identify(image, fpir=fpir)
    if as_json:
        faces = [
            {
                "box": [round(edge, 1) for edge in one.face.box],
                "name": one.decision.name,
                "score": one.decision.score,
                "threshold": one.decision.threshold,
                "note": one.decision.note,
            }
            for one in found
        ]
        print_json({"faces": faces})
    else:
        for one in found:
            box = one.face.box
            click.echo(
                f"{one.decision.name or 'unknown'}: score {one.decision.score:.3f}, threshold "
                f"{one.decision.threshold:.3f}, face {box.width:.0f} px at "
                f"{box.x:.0f},{box.y:.0f}"
                + (f" ({one.decision.note})" if one.decision.note else "")
            )
        if not found:
            click.echo("no face found")
    return YES if any(one.decision.match for one in found) else NO
