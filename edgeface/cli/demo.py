"""`edgeface demo`"""

from __future__ import annotations

import time
from pathlib import Path

import click

from edgeface.cli import ERROR, YES, options, print_json
from edgeface.demo.decisions import ENROLLED, PORTRAITS, run_demo
from edgeface.demo.liveness import Tried, run_attempts


@click.command("demo")
@options.model
@options.as_json
def command(model: Path | None, as_json: bool) -> int:
    """Show the whole pipeline on pictures that ship with the package."""
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
    tried = list(run_attempts(PORTRAITS / "obama2.jpg"))
    right = [one.right for one in shown] + [one.right for one in tried]
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
        print_json({"decisions": decisions, "liveness": [_attempt(one) for one in tried]})
    else:
        for attempt in tried:
            click.echo(
                f"alive?    {attempt.image:33} {attempt.verdict.liveness:12} "
                f"{attempt.verdict.reason}" + ("" if attempt.right else "   WRONG")
            )
        click.echo(
            f"{len(right)} decisions, {right.count(False)} wrong, "
            f"{time.perf_counter() - started:.1f} s"
        )
    return YES if all(right) else ERROR


def _attempt(tried: Tried) -> dict[str, object]:
    return {
        "image": tried.image,
        "liveness": str(tried.verdict.liveness),
        "reason": tried.verdict.reason,
        "scores": {name: round(score, 2) for name, score in vars(tried.verdict.scores).items()},
    }
