"""`edgeface bench`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from edgeface.bench.bench import (
    FACES,
    FRAMES,
    MANY_TEMPLATES,
    PEOPLE,
    TEMPLATES_EACH,
    bench,
    measure_gallery,
)
from edgeface.bench.plot import draw
from edgeface.cli import options, print_json
from edgeface.cli.paths import UserPath
from edgeface.pipeline.model_file import load_model
from edgeface.system.storage import write_atomically


@click.command("bench")
@click.option(
    "--runs", type=click.IntRange(10), default=100, show_default=True, help="Runs per figure."
)
@click.option(
    "--gallery",
    "gallery_only",
    is_flag=True,
    help="Measure only galleries, up to 1,000,000 templates.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1),
    default=10.0,
    show_default=True,
    help="Length of the sustained run.",
)
@click.option(
    "--plot",
    type=UserPath(path_type=Path, dir_okay=False),
    help="Draw the latencies to this file (SVG).",
)
@options.model
@options.as_json
def command(
    runs: int,
    gallery_only: bool,
    seconds: float,
    plot: Path | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Measure latency, throughput, start-up, memory and gallery search on this machine."""
    if gallery_only:
        opened = load_model(model)
        sizes = [(people, TEMPLATES_EACH) for people in PEOPLE] + [(MANY_TEMPLATES, 1)]
        costs = [measure_gallery(opened, *size, runs) for size in sizes]
        results: dict[str, object] = {"gallery": costs}
    else:
        with click.progressbar(
            length=2 * len(FRAMES) * len(FACES),
            label="measuring",
            file=sys.stderr,
            hidden=not sys.stderr.isatty(),
        ) as bar:
            results = bench(model, runs, lambda: bar.update(1), seconds)
    plain = msgspec.to_builtins(results)
    if plot is not None and not gallery_only:
        write_atomically(plot.absolute(), [draw(plain).encode()], mode=0o644)
    if as_json:
        print_json(plain)
    else:
        _print_table(plain)


def _print_table(results: dict[str, Any]) -> None:
    if "latency_ms" in results:
        click.echo(f"{results['model']} on {results['runtime']}, {results['threads']} threads")
    for threads, frames in results.get("latency_ms", {}).items():
        click.echo(f"\nmilliseconds (p50), {threads} threads")
        stations = list(next(iter(frames.values())))
        click.echo(f"{'':20}" + "".join(f"{station:>9}" for station in stations) + "      p95")
        for frame, figures in frames.items():
            row = "".join(f"{figures[station]['p50']:9.2f}" for station in stations)
            click.echo(f"{frame:20}{row}{figures['total']['p95']:9.2f}")
    if "cold_start_ms" in results:
        cold = ", ".join(f"{k} {v['p50']:.0f}" for k, v in results["cold_start_ms"].items())
        click.echo(f"\none face at 640x480: {results['frames_per_second']} frames per second")
        click.echo(f"cold start, milliseconds: {cold}")
        fps = ", ".join(f"{n} threads {fps}" for n, fps in results["sustained_fps"].items())
        click.echo(f"without a pause, frames per second: {fps}")
        for way, parts in (results["model_load_ms"] or {}).items():
            load = ", ".join(f"{part} {figure['p50']:.0f}" for part, figure in parts.items())
            click.echo(f"the network by {way.replace('_', ' ')}, milliseconds: {load}")
        click.echo(
            f"memory: {results['resident_memory_mb']} MB with the pipeline open, "
            f"{results['peak_memory_mb']} MB at peak"
        )
        if results["temperature_c"] is not None:
            click.echo(f"temperature: {results['temperature_c']:.0f} degrees Celsius")
        if results["throttled"]:
            click.echo(f"the firmware throttles this machine: flags {results['throttled']:#x}")
    click.echo("\ngallery   people   templates      MB   open ms   search ms (p50)")
    for cost in results["gallery"]:
        click.echo(
            f"{cost['people']:16,}{cost['templates']:12,}{cost['file_mb']:8.2f}"
            f"{cost['open_ms']:10.1f}{cost['search_ms']['p50']:12.3f}"
        )
