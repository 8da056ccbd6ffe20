"""The command line `convert-model`: one driver of the workstation side.

`convert-model SOURCE -o OUT.tflite` converts; the other commands make what it takes or look at what
it made. Exit 0 on success, 2 on an error, which is told in one sentence. This module knows options
and files; it holds no arithmetic.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from edgeface.errors import ConfigError, EdgeFaceError
from edgeface.evaluate import read_pairs
from edgeface.model import load_model
from edgeface.storage import write_atomically
from edgeface_tools import convert as stations
from edgeface_tools import inspection
from edgeface_tools import observe as observing
from edgeface_tools import population as populations
from edgeface_tools.faces import pictures_in
from edgeface_tools.progress import bar

ERROR = 2
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_CONTEXT = {"help_option_names": ["-h", "--help"]}


class _ConvertByDefault(click.Group):
    """What is no command is a source to convert."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {*self.commands, "-h", "--help", "--debug"}
        first = next((place for place, word in enumerate(args) if word != "--debug"), None)
        if first is not None and args[first] not in known:
            args = [*args[:first], "convert", *args[first:]]
        return super().parse_args(ctx, args)


@click.group(cls=_ConvertByDefault, context_settings=_CONTEXT)
@click.option("--debug", is_flag=True, help="Show a traceback on an error.")
def cli(debug: bool) -> None:
    """Turn a Keras face network into a small TFLite file that says how to use it.

    `convert-model SOURCE -o OUT.tflite` is short for `convert-model convert SOURCE -o OUT.tflite`.
    SOURCE is a Keras .h5 file, or the word facenet for the pinned FaceNet, which is fetched.
    """


@cli.command()
@click.argument("source")
@click.option("-o", "--output", type=_FILE, required=True, help="The .tflite file to write.")
@click.option("--calibrate", type=_FOLDER, help="Photos of faces to calibrate on.")
@click.option("--observations", type=_FILE, help="Calibrate by this file instead of photos.")
@click.option("--population", type=_FILE, help="Centre and score table to put into the model.")
@click.option("--name", help="What the model calls itself.")
def convert(
    source: str,
    output: Path,
    calibrate: Path | None,
    observations: Path | None,
    population: Path | None,
    name: str | None,
) -> None:
    """Convert SOURCE to full-integer int8."""
    if calibrate and observations:
        raise ConfigError("give --calibrate or --observations, not both")
    loaded = stations.load_source(source)
    if observations:
        observed = observing.load(observations)
    else:
        faces = stations.faces_for(loaded, calibrate)
        observed = stations.observations_of(loaded, faces, _origin(calibrate, source))
        _tell_skipped(len(faces.used), faces.skipped)
    model = stations.convert(loaded, observed, population, name)
    _write(output, model)
    click.echo(inspection.as_text(inspection.inspect(output)))


@cli.command()
@click.argument("source")
@click.option("-o", "--output", type=_FILE, required=True, help="The .json file to write.")
@click.option("--calibrate", type=_FOLDER, help="Photos of faces to calibrate on.")
@click.option("--measured-on", help="What the photos are, for the record.")
def observe(source: str, output: Path, calibrate: Path | None, measured_on: str | None) -> None:
    """Record what quantizing SOURCE must know, so that no photos are needed to repeat it."""
    loaded = stations.load_source(source)
    faces = stations.faces_for(loaded, calibrate)
    origin = measured_on or _origin(calibrate, source)
    observed = stations.observations_of(loaded, faces, origin)
    _tell_skipped(len(faces.used), faces.skipped)
    _write(output, observing.encoded(observed))


@cli.command()
@click.argument("model", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, help="The .json file to write.")
@click.option("--labelled", type=_FOLDER, required=True, help="A folder of PERSON/PICTURE files.")
@click.option("--pairs", type=_FILE, help="Use only the pictures named in this LFW pairs file.")
@click.option("--measured-on", help="What the pictures are, for the record.")
def population(
    model: Path, output: Path, labelled: Path, pairs: Path | None, measured_on: str | None
) -> None:
    """Measure MODEL's centre and score-to-FAR table on labelled pictures, over every cross pair."""
    if pairs:
        named = {p for pair in read_pairs(pairs) for p in (pair.first, pair.second)}
        pictures = sorted(named)
    else:
        pictures = [path.relative_to(labelled) for path in pictures_in(labelled)]
    about = load_model(model).description
    network = model.read_bytes()[: about.network_bytes]
    with bar("encoding", len(pictures)) as progress:
        numbers = populations.measure(
            network, about, labelled, pictures, measured_on or labelled.name, progress
        )
    _write(output, populations.encoded(numbers))


@cli.command()
@click.argument("model", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, help="The .tflite file to write.")
@click.option("--population", type=_FILE, required=True, help="Centre and score table.")
def describe(model: Path, output: Path, population: Path) -> None:
    """Put other numbers into MODEL's description; the network stays as it is."""
    about = load_model(model).description
    network = model.read_bytes()[: about.network_bytes]
    _write(output, stations.described(network, about, population))


@cli.command()
@click.argument("model", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def inspect(model: Path, as_json: bool) -> None:
    """Show MODEL's description, operators and which runtimes can load it."""
    found = inspection.inspect(model)
    click.echo(msgspec.json.encode(found) if as_json else inspection.as_text(found))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status; the entry point of `convert-model`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        status = cli.main(arguments, prog_name="convert-model", standalone_mode=False)
    except click.exceptions.Exit as stop:
        status = stop.exit_code
    except click.Abort:
        status = 130  # what a shell reports after Ctrl-C
    except click.ClickException as error:
        error.show()
        status = ERROR
    except EdgeFaceError as error:
        if "--debug" in arguments:
            raise
        click.echo(f"convert-model: {error}", err=True)
        status = ERROR
    sys.exit(status or 0)


def _origin(calibrate: Path | None, source: str) -> str:
    return calibrate.name if calibrate else f"the pictures that come with {source}"


def _tell_skipped(used: int, skipped: tuple[tuple[Path, str], ...]) -> None:
    click.echo(f"calibrated on {used} faces, {len(skipped)} pictures skipped", err=True)
    for path, reason in skipped:
        click.echo(f"  {path.name}: {reason}", err=True)


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomically(path.absolute(), [content], mode=0o644)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None


if __name__ == "__main__":
    main()
