"""`edgeface demo`"""

from __future__ import annotations

import time
from pathlib import Path

import click

from edgeface.cli import ERROR, YES, options, print_json
from edgeface.demo import ENROLLED, run_demo


@click.command("demo")
@options.model
@options.as_json
def command(model: Path | None, as_json: bool) -> int:
    """Show the whole line on pictures that ship with the package."""
    started = time.perf_counter()
    if not as_json:
        for name, files in ENROLLED.items():
            click.echo(f"enroll    {name:8} from {', '.join(files)}")
    shown = []
    for one in run_demo(model):
        shown.append(one)
        if as_json:
            continue
        decision = one.decision
        if one.claimed is not None:
            asked, answer = f"is it {one.claimed}?", "yes" if decision.match else "no"
        else:
            asked, answer = "who is it?", decision.name or "unknown"
        click.echo(
            f"{'verify' if one.claimed else 'identify':9} {one.image:19} {asked:13} {answer:8} "
            f"score {decision.score:6.3f}, threshold {decision.threshold:.3f}"
            + ("" if one.right else "   WRONG")
        )
    if as_json:
        decisions = [
            {
                "image": one.image,
                "claimed": one.claimed,
                "name": one.decision.name,
                "score": one.decision.score,
                "threshold": one.decision.threshold,
                "match": one.decision.match,
            }
            for one in shown
        ]
        print_json({"decisions": decisions})
    else:
        wrong = sum(not one.right for one in shown)
        click.echo(f"{len(shown)} decisions, {wrong} wrong, {time.perf_counter() - started:.1f} s")
    return YES if all(one.right for one in shown) else ERROR
