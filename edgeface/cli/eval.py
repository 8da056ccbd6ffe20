"""`edgeface eval --images DIR --pairs FILE`"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from edgeface.bench.evaluate import encode_all, evaluate, read_pairs
from edgeface.cli import options, print_json
from edgeface.cli.paths import UserPath
from edgeface.pipeline.pipeline import FacePipeline


@click.command("eval")
@click.option(
    "--images",
    required=True,
    type=UserPath(path_type=Path, file_okay=False, exists=True),
    help="Folder of pictures: NAME/NAME_0001.jpg and so on.",
)
@click.option("--pairs", required=True, type=options.IMAGE, help="LFW pairs file.")
@click.option(
    "--threshold",
    type=click.FloatRange(-1, 1),
    help="Score from which a pair is one person (default: chosen on the other folds).",
)
@options.model
@options.as_json
def command(
    images: Path, pairs: Path, threshold: float | None, model: Path | None, as_json: bool
) -> None:
    """Measure accuracy on a list of pairs in LFW's format, through the real pipeline."""
    wanted = read_pairs(pairs)
    pictures = sorted({picture for pair in wanted for picture in (pair.first, pair.second)})
    pipeline = FacePipeline(model)
    with click.progressbar(
        length=len(pictures), label="encoding", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        embeddings = encode_all(pipeline, images, pictures, lambda: bar.update(1))
    result = evaluate(wanted, embeddings, threshold)
    if as_json:
        print_json(asdict(result))
        return
    click.echo(
        f"pairs      {result.pairs} ({result.failures} pictures without a face)\n"
        f"accuracy   {100 * result.accuracy:.2f} % (std {100 * result.accuracy_std:.2f}) "
        f"at threshold {result.threshold:.3f}\n"
        f"EER        {100 * result.eer:.2f} %\n"
        + "".join(f"TAR@{far:<6} {100 * tar:.2f} %\n" for far, tar in result.tar.items())
        + f"AUC        {result.auc:.5f}"
    )
