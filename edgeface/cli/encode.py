"""`edgeface encode IMAGE...`"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from edgeface.cli import options, print_json
from edgeface.system.legible import legible
from edgeface.verifier import FaceVerifier


@click.command("encode")
@click.argument("images", nargs=-1, required=True, type=options.IMAGE)
@options.model
@options.as_json
def command(images: tuple[Path, ...], model: Path | None, as_json: bool) -> None:
    """Print the embedding of the main face of each IMAGE, as enroll stores it."""
    verifier = FaceVerifier(model=model)
    subjects = [(image, verifier.face(image)) for image in images]
    if as_json:
        embeddings = [
            {
                "image": legible(image),
                "box": [round(edge, 1) for edge in subject.face.box],
                "embedding": subject.embedding.tolist(),
                "quality": round(subject.quality.score, 3),
            }
            for image, subject in subjects
        ]
        print_json({"embeddings": embeddings})
        return
    for image, subject in subjects:
        numbers = np.array2string(subject.embedding, precision=4, max_line_width=100)
        click.echo(f"{image} (quality {subject.quality.score:.2f})\n{numbers}")
