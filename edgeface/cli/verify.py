"""`edgeface verify NAME IMAGE`"""

from __future__ import annotations

from pathlib import Path

import click

from edgeface.cli import NO, YES, live, options, print_json
from edgeface.pipeline.pipeline import Timings
from edgeface.verifier import FaceVerifier


@click.command("verify")
@click.argument("name")
@click.argument("image", type=options.IMAGE, required=False)
@live.at_camera
@live.within
@live.challenge
@options.far
@options.on_gallery
def command(
    name: str,
    image: Path | None,
    at_camera: bool,
    within: float | None,
    challenge: bool,
    far: float,
    gallery: Path | None,
    key_file: Path | None,
    model: Path | None,
    as_json: bool,
) -> int:
    """Is the main face of IMAGE the enrolled person NAME? Exit 0 if so, 1 if not.

    With --live, and no IMAGE, the running service answers for the person at its camera. A picture
    cannot show whether a person is alive; the service judges that.
    """
    live.check(at_camera, image, "IMAGE")
    if image is None:
        return live.verify(name, within, challenge, as_json)
    if challenge:
        raise click.UsageError("--challenge needs --live: a picture cannot answer a challenge")
    timings = Timings()
    decision = FaceVerifier(gallery, model, key_file=key_file).verify(
        name, image, far=far, timings=timings
    )
    if as_json:
        print_json(
            {
                "match": decision.match,
                "score": decision.score,
                "threshold": decision.threshold,
                "name": decision.name,
                "note": decision.note,
                "liveness": "not judged",  # one picture cannot distinguish a person from a photo
                "latency_ms": timings.as_dict(),
            }
        )
    else:
        answer = "yes" if decision.match else "no"
        found = options.scored(decision.score, decision.threshold, match=decision.match)
        note = f" ({decision.note})" if decision.note else ""
        click.echo(f"{answer}: {image} against {decision.name}, {found}; liveness not judged{note}")
    return YES if decision.match else NO
