"""The command line `convert-model`: one driver of the workstation side.

`convert-model SOURCE -o OUT.tflite` converts; the other commands make its inputs or inspect its
output. Exit 0 on success, 2 on an error, reported in one sentence. This module knows options and
files; it holds no arithmetic.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

import edgeface
from edgeface.errors import ConfigError
from edgeface.pipeline.model_file import describe as with_description
from edgeface.pipeline.model_file import load_model
from edgeface.system.program import run_command
from edgeface_tools import convert as stations
from edgeface_tools import describe as describing
from edgeface_tools.cli.output import write_output
from edgeface_tools.convert import ConversionOptions
from edgeface_tools.people import population as populations
from edgeface_tools.people.agreement import Agreement
from edgeface_tools.people.faces import Faces
from edgeface_tools.people.inputs import Inputs
from edgeface_tools.people.labelled import wanted
from edgeface_tools.quantize import calibrate as calibrating
from edgeface_tools.quantize.quantize import PRECISIONS, Ends, Precision
from edgeface_tools.quantize.widening import Widened
from edgeface_tools.report import precisions as comparing
from edgeface_tools.report import report as reporting
from edgeface_tools.source.architectures import ARCHITECTURES
from edgeface_tools.source.load import Loaded, load_source
from edgeface_tools.source.normalization import FORM, Colour
from edgeface_tools.tflite import inspection

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_CONTEXT = {"help_option_names": ["-h", "--help"]}

_COMMAND = "edgeface_tools.command"
"""Under which click keeps the command line as it was typed."""

_Command = Callable[..., Any]


class _ConvertByDefault(click.Group):
    """A first argument that is not a command is a source to convert."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_COMMAND] = shlex.join(["convert-model", *args])
        known = {*self.commands, "-h", "--help", "--debug", "--version"}
        first = next((place for place, word in enumerate(args) if word != "--debug"), None)
        if first is not None and args[first] not in known:
            args = [*args[:first], "convert", *args[first:]]
        return super().parse_args(ctx, args)


def _of_a_source(command: _Command) -> _Command:
    """The argument and options that describe a source; the command gets a function to read it."""

    @functools.wraps(command)
    def reading(
        source: str,
        architecture: str | None,
        colour: Colour | None,
        normalization: str | None,
        layer: str | None,
        size: int | None,
        **others: Any,
    ) -> Any:
        def read() -> Loaded:
            output = others["output"]
            if Path(source).exists() and output.exists() and output.samefile(source):
                raise ConfigError(
                    f"{output} is the source itself; give another name with -o, such as "
                    f"{Path(source).with_suffix('.tflite')}"
                )
            for option in ("observations", "population", "pairs"):
                file = others.get(option)
                if file is not None and file.exists() and output.exists() and output.samefile(file):
                    raise ConfigError(f"{output} is the file of --{option}; give another with -o")
            return load_source(source, architecture, colour, normalization, layer, size)

        return command(read, **others)

    described: _Command = reading
    for option in (
        click.option(
            "--normalization",
            metavar="NAME",
            help=f"Pixels in training: {FORM} (default: as the network shows, else per-image).",
        ),
        click.option(
            "--colour",
            type=click.Choice(["rgb", "bgr"]),
            help="Colour order in training (default: rgb).",
        ),
        click.option(
            "--architecture",
            type=click.Choice(list(ARCHITECTURES)),
            help="The network of a file that has only weights.",
        ),
        click.option(
            "--layer", help="The layer that gives the embedding, where it is not the last one."
        ),
        click.option(
            "--size",
            type=click.IntRange(2, 1024),
            help="Side of the pictures, for a network that takes any.",
        ),
        click.argument("source"),
    ):
        described = option(described)
    return described


def _labelled(command: _Command) -> _Command:
    """The options that name labelled pictures."""
    for option in (
        click.option("--measured-on", help="Name of the set of pictures, to be recorded."),
        click.option("--pairs", type=_FILE, help="Use the pictures named in an LFW pairs file."),
        click.option("--labelled", type=_FOLDER, help="A folder of PERSON/PICTURE files."),
    ):
        command = option(command)
    return command


@click.group(cls=_ConvertByDefault, context_settings=_CONTEXT)
@click.version_option(edgeface.__version__, prog_name="convert-model")
@click.option("--debug", is_flag=True, help="Show a traceback on an error.")
def cli(debug: bool) -> None:
    """Turn a face network into a small TFLite file that describes its use.

    `convert-model SOURCE -o OUT.tflite` is short for `convert-model convert SOURCE -o OUT.tflite`.
    SOURCE is a Keras file (.h5 or .keras), a SavedModel folder, a frozen graph (.pb), an ONNX file,
    weights with --architecture, a folder of OpenFace's CSV files, or the word facenet or sface for
    a pinned network, which is fetched.
    """


@cli.command()
@click.option("-o", "--output", type=_FILE, required=True, help="The .tflite file to write.")
@click.option(
    "--precision", type=click.Choice(PRECISIONS), default="int8", show_default=True,
    help="int8 is the smallest and fastest; the others are nearer to the float network.",
)  # fmt: skip
@click.option(
    "--ends", type=click.Choice(["int8", "float32"]), default="int8", show_default=True,
    help="Type of an int8 model's input and output.",
)  # fmt: skip
@_of_a_source
@click.option("--calibrate", type=_FOLDER, help="Photos of faces to calibrate on.")
@click.option("--observations", type=_FILE, help="Calibrate by this file instead of photos.")
@click.option("--population", type=_FILE, help="Centre and score table to put into the model.")
@_labelled
@click.option(
    "--max-drop",
    type=click.FloatRange(min=0),
    metavar="POINTS",
    help="Percentage points of TAR that int8 may lose on the labelled faces: the noisiest layers "
    "are left in float until it holds.",
)
@click.option(
    "--at-far",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=1e-3,
    show_default=True,
    help="FAR at which --max-drop is measured: 0.1, 0.01, 0.001 and so on.",
)
@click.option("--name", help="Name of the model.")
@click.option(
    "--report/--no-report", default=True, help="Write report.html and report.json beside the model."
)
@click.option(
    "--python", "pythons", type=_FILE, multiple=True,
    help="Another Python that has edgeface, to time its runtime too (may be repeated).",
)  # fmt: skip
def convert(
    read: Callable[[], Loaded],
    output: Path,
    precision: Precision,
    ends: Ends,
    calibrate: Path | None,
    observations: Path | None,
    population: Path | None,
    labelled: Path | None,
    pairs: Path | None,
    measured_on: str | None,
    max_drop: float | None,
    at_far: float,
    name: str | None,
    report: bool,
    pythons: tuple[Path, ...],
) -> None:
    """Convert SOURCE, by default to full-integer int8."""
    people = wanted(labelled, pairs) if labelled or pairs else None
    if people and population:
        raise ConfigError("give --population, or pictures to measure one on, not both")
    options = ConversionOptions(
        precision,
        ends,
        name,
        calibrate,
        observations,
        population,
        people,
        measured_on,
        max_drop,
        at_far,
    )
    loaded = read()
    converted = stations.convert(loaded, options)
    if calibrate:
        _report_skipped(converted.faces)
    write_output(output, stations.described(converted))
    click.echo(inspection.as_text(inspection.inspect(output)))
    _report_agreement(loaded, converted.agreement)
    if converted.inputs is not None:
        click.echo(_separations(converted.inputs), err=True)
    if converted.widened is not None:
        click.echo(_kept_in_float(converted.widened), err=True)
    scores = converted.description.scores
    if scores is None or not scores.measured:
        click.echo(
            "note: thresholds are a guess so far; measure them on labelled pictures with: "
            f"convert-model describe {output} --labelled FOLDER",
            err=True,
        )
    if report:
        command = click.get_current_context().meta[_COMMAND]
        found = reporting.report(loaded, converted, output, command, datetime.now(UTC), pythons)
        if found.people and not found.people.own and found.people.calibrated_on:
            click.echo(
                f"note: {found.people.calibrated_on} of the {found.people.people} labelled people "
                "are among the calibration faces too, which makes the figures on them better; "
                "calibrate on other people",
                err=True,
            )
        page = reporting.place_beside(output)
        write_output(page.with_suffix(".json"), reporting.as_json(found))
        write_output(page, reporting.as_html(found))
        click.echo(f"report: {page}", err=True)


@cli.command()
@click.option("-o", "--output", type=_FILE, required=True, help="The .json file to write.")
@_of_a_source
@click.option("--calibrate", type=_FOLDER, help="Photos of faces to calibrate on.")
@click.option("--measured-on", help="Name of the set of photos, to be recorded.")
def observe(
    read: Callable[[], Loaded],
    output: Path,
    calibrate: Path | None,
    measured_on: str | None,
) -> None:
    """Record the calibration of SOURCE in a file, so that it can be repeated without photos."""
    loaded = read()
    faces = stations.calibration_faces(loaded, calibrate)
    if faces is None:
        raise ConfigError("this needs photos of faces; give --calibrate FOLDER")
    origin = measured_on or stations.origin(loaded, calibrate)
    calibration = stations.calibration_of(loaded, faces, origin)
    _report_skipped(faces)
    write_output(output, calibrating.encoded(calibration))


@cli.command()
@click.argument("model", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, help="The .json file to write.")
@_labelled
def population(
    model: Path,
    output: Path,
    labelled: Path | None,
    pairs: Path | None,
    measured_on: str | None,
) -> None:
    """Measure MODEL's centre and score-to-FAR table over all pairs of labelled pictures."""
    source = wanted(labelled, pairs)
    about = load_model(model).description
    network = model.read_bytes()[: about.network_bytes]
    people = stations.cut_people(source, about)
    numbers = stations.measure(network, about, people, measured_on or source.folder.name)
    write_output(output, populations.encoded(numbers))


@cli.command()
@click.argument("model", type=_FILE)
@click.option("-o", "--output", type=_FILE, help="The .tflite file to write (default: MODEL).")
@click.option("--population", type=_FILE, help="Centre and score table, from a file.")
@_labelled
@click.option("--colour", type=click.Choice(["rgb", "bgr"]), help="Colour order it expects.")
@click.option("--normalization", metavar="NAME", help="per-image, 0..1, -1..1, raw, or MEAN/STD.")
@click.option("--layer", help="The output that is the embedding, of a file with several.")
@click.option("--name", help="Name of the model.")
def describe(
    model: Path,
    output: Path | None,
    population: Path | None,
    labelled: Path | None,
    pairs: Path | None,
    measured_on: str | None,
    colour: Colour | None,
    normalization: str | None,
    layer: str | None,
    name: str | None,
) -> None:
    """Add a description to MODEL, or replace it; the network stays as it is.

    A file without one is taken to be like FaceNet (RGB, standardized per picture) unless --colour
    and --normalization say otherwise.
    """
    network, about = describing.description_for(model, name, colour, normalization, layer)
    if labelled or pairs:
        source = wanted(labelled, pairs)
        people = stations.cut_people(source, about)
        what = measured_on or source.folder.name
        about = populations.with_population(about, stations.measure(network, about, people, what))
    elif population:
        about = stations.with_file(about, population)
    write_output(output or model, with_description(network, about))


@cli.command()
@click.argument("model", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def inspect(model: Path, as_json: bool) -> None:
    """Show MODEL's description, operators and which runtimes can load it."""
    found = inspection.inspect(model)
    click.echo(msgspec.json.encode(found) if as_json else inspection.as_text(found))


@cli.command()
@click.option("-o", "--output", type=_FILE, required=True, help="The .md file to write.")
@_of_a_source
@click.option("--calibrate", type=_FOLDER, help="Photos of faces to calibrate on.")
@click.option("--pairs", type=_FILE, required=True, help="LFW pairs to measure accuracy on.")
@click.option("--labelled", type=_FOLDER, help="The folder of the pictures.")
@click.option("--python", "pythons", type=_FILE, multiple=True, help="Another Python to try.")
def precisions(
    read: Callable[[], Loaded],
    output: Path,
    calibrate: Path | None,
    pairs: Path,
    labelled: Path | None,
    pythons: tuple[Path, ...],
) -> None:
    """Compare SOURCE in every precision on every runtime: a table in Markdown."""
    found = comparing.compare(read(), labelled, pairs, pythons, calibrate)
    write_output(output, comparing.as_markdown(found).encode())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status; the entry point of `convert-model`."""
    run_command(cli, arguments, "convert-model")


def _report_agreement(loaded: Loaded, found: Agreement) -> None:
    for note in loaded.notes:
        click.echo(f"note: {note}", err=True)
    if found.framework is None:
        click.echo(f"note: not compared with the source's own framework: {found.why_not}", err=True)
        return
    click.echo(
        f"agrees with {found.framework} on the same pixels of {found.faces} faces: cosine "
        f"{found.median:.4f} (median), {found.least:.4f} (least)",
        err=True,
    )


def _separations(found: Inputs) -> str:
    """What was tried, and a warning where the chosen one is clearly not the best."""
    whom = (
        f"{found.genuine_pairs} genuine and {found.impostor_pairs} impostor pairs of "
        f"{found.people} people"
    )
    lines = [f"separation (d') of {whom} in float, by how the pixels are given:"]
    for one in found.tried:
        mark = "  (chosen)" if one == found.chosen else ""
        lines.append(f"  {one.separation:6.2f}  {one.colour}, {one.normalization}{mark}")
    if found.better is not None:
        one, chosen = found.better, found.chosen
        way = (
            ""
            if one.normalization == chosen.normalization
            else f" --normalization={one.normalization}"
        )
        way += "" if one.colour == chosen.colour else f" --colour={one.colour}"
        lines.append(
            f"warning: {one.colour}, {one.normalization} separates the labelled people clearly "
            f"better than {chosen.colour}, {chosen.normalization}, as which the network was "
            f"converted; unless you know that it was trained so, try{way}"
        )
    return "\n".join(lines)


def _kept_in_float(found: Widened) -> str:
    kept = f"{len(found.layers)} layers left in float" if found.layers else "every layer quantized"
    return (
        f"TAR at FAR {found.far:g} is {found.tar:.2%} with {kept}, {found.float_tar:.2%} in float "
        f"and {found.first_tar:.2%} with none left in float"
    )


def _report_skipped(faces: Faces) -> None:
    click.echo(
        f"calibrated on {len(faces.used)} faces, {len(faces.skipped)} pictures skipped", err=True
    )
    for path, reason in faces.skipped:
        click.echo(f"  {path.name}: {reason}", err=True)


if __name__ == "__main__":
    main()
