"""The command line `train-triplet`: fine-tunes a face network for your own camera or people.

Exit 0 when a better network was written, 1 when none was found, 2 on an error (one sentence), 130
when Ctrl-C stopped it. The same command again resumes a stopped training. This module knows
options, files and how progress is shown; it holds no arithmetic.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
import msgspec

import edgeface
from edgeface.errors import ConfigError
from edgeface.system.program import run_command
from edgeface.system.storage import InUse, locked
from edgeface_tools import progress
from edgeface_tools.cli.output import write_output
from edgeface_tools.network.to_keras import keras_file
from edgeface_tools.source.architectures import ARCHITECTURES
from edgeface_tools.source.normalization import Colour
from edgeface_tools.train.camera import Camera
from edgeface_tools.train.finetune import Plan, check, fine_tune, input_of, read_base
from edgeface_tools.train.head import Loss, Step
from edgeface_tools.train.learning_curves import as_svg
from edgeface_tools.train.loop import Epoch, Schedule
from edgeface_tools.train.triplet import MARGIN, MININGS, Mining

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

NOTHING_BETTER, INTERRUPTED = 1, 130
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_SCHEDULE = Schedule()


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("source")
@click.argument("people", type=_FOLDER)
@click.option("-o", "--output", type=_FILE, required=True, help="The .keras file to write.")
@click.option("--architecture", type=click.Choice(list(ARCHITECTURES)), help="Of weights alone.")
@click.option("--colour", type=click.Choice(["rgb", "bgr"]), help="Colour order of SOURCE.")
@click.option("--normalization", metavar="NAME", help="Pixels of SOURCE, as for convert-model.")
@click.option("--general", type=_FOLDER, help="Other people, whose accuracy must not fall.")
@click.option("--grey", is_flag=True, help="Imitate a camera without colour.")
@click.option("--face-width", type=float, default=0.0, help="Imitate faces this many pixels wide.")
@click.option("--gamma", type=float, default=1.0, help="Imitate dark (0.5) or bright (2) light.")
@click.option("--noise", type=float, default=0.0, help="Imitate noise, in grey levels of 255.")
@click.option("--blur", type=float, default=0.0, help="Imitate blur, in pixels of the camera.")
@click.option("--copies", type=int, default=4, help="Imitated copies of each picture.")
@click.option("--mining", type=click.Choice(MININGS), default="semi-hard", help="Triplets chosen.")
@click.option("--margin", type=float, default=MARGIN, help="Alpha of the loss.")
@click.option("--keep", type=float, default=0.5, help="Weight of staying near the base network.")
@click.option("--freeze-through", metavar="LAYER", help="The last layer to leave untrained.")
@click.option("--epochs", type=int, default=_SCHEDULE.epochs, help="Epochs at most.")
@click.option(
    "--patience",
    type=int,
    default=_SCHEDULE.patience,
    help="Epochs without improvement.",
)
@click.option("--rate", type=float, default=_SCHEDULE.rate, help="Initial learning rate.")
@click.option("--batch-people", type=int, default=_SCHEDULE.people, help="People per batch (P).")
@click.option("--batch-pictures", type=int, default=_SCHEDULE.pictures, help="Pictures each (K).")
@click.option("--held-out", type=float, default=0.2, help="Share of the people for validation.")
@click.option("--forget", type=float, default=_SCHEDULE.forget, help="TAR that --general may lose.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of all random numbers.")
@click.option("--work", type=_FOLDER, help="Cache and checkpoint [default: OUTPUT.training]")
@click.option("--checkpoint-seconds", type=float, default=60.0, help="Time between checkpoints.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.version_option(edgeface.__version__, prog_name="train-triplet")
@click.option("--debug", is_flag=True, help="Show a traceback on an error.")
def cli(
    source: str,
    people: Path,
    output: Path,
    architecture: str | None,
    colour: Colour | None,
    normalization: str | None,
    general: Path | None,
    grey: bool,
    face_width: float,
    gamma: float,
    noise: float,
    blur: float,
    copies: int,
    mining: Mining,
    margin: float,
    keep: float,
    freeze_through: str | None,
    epochs: int,
    patience: int,
    rate: float,
    batch_people: int,
    batch_pictures: int,
    held_out: float,
    forget: float,
    seed: int,
    work: Path | None,
    checkpoint_seconds: float,
    as_json: bool,
    debug: bool,
) -> int:
    """Fine-tune SOURCE on the folder PEOPLE (NAME/*.jpg) with the triplet loss.

    SOURCE is a Keras .h5 or .keras file, or the word facenet for the pinned FaceNet. The result
    goes into `convert-model OUTPUT -o OUT.tflite`. The work folder holds faces: delete it when
    you are done.
    """
    if output.suffix != ".keras":
        raise ConfigError(f"{output} must end in .keras, which is what convert-model reads")
    plan = Plan(
        Camera(grey, face_width, gamma, noise, blur),
        Loss(margin, mining, keep),
        Schedule(epochs, patience, batch_people, batch_pictures, rate, forget, seed),
        copies,
        held_out,
        freeze_through,
    )
    check(plan)
    base = read_base(source, architecture)
    spec = input_of(base, architecture, colour, normalization)
    work = work or output.with_name(f"{output.name}.training")
    with _alone(work), _interruptible() as stopped:
        display = _Display(work / "curves.svg", stopped)
        with display:
            result = fine_tune(base, people, general, plan, work, checkpoint_seconds, display, spec)
    found = result.outcome
    if not found.finished:
        click.echo("stopped; run the same command again to continue", err=True)
        return INTERRUPTED
    if result.network is not None:
        write_output(output, keras_file(result.network))
    first = found.epochs[0]
    if as_json:
        click.echo(
            msgspec.json.encode(
                {
                    "written": str(output) if result.network else None,
                    "best": found.best,
                    "mix": found.mix,
                    "far": result.judged.far,
                    "genuine_pairs": result.judged.genuine,
                    "impostor_pairs": result.judged.impostor,
                    "epochs": found.epochs,
                }
            )
        )
    elif found.mix is not None:
        click.echo(
            f"{output}: {found.mix.share:.0%} of the way from the base network to epoch "
            f"{found.best} of {len(found.epochs) - 1}; of the genuine pairs "
            f"{found.mix.tar:.1%} pass at FAR {result.judged.far:.2g}, before {first.tar:.1%}"
        )
    elif found.best:
        click.echo(
            f"nothing written: the best network (epoch {found.best}, TAR "
            f"{found.epochs[found.best].tar:.1%} at FAR {result.judged.far:.2g}, before "
            f"{first.tar:.1%}) lost more than {forget:.1%} on the general set, and so did every "
            "mix of it with the base network"
        )
    else:
        click.echo(
            f"nothing written: in {len(found.epochs) - 1} epochs no network was better than the "
            f"base ({first.tar:.1%} of the genuine pairs pass at FAR {result.judged.far:.2g})"
        )
    return 0 if result.network is not None else NOTHING_BETTER


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status; the entry point of `train-triplet`."""
    run_command(cli, arguments, "train-triplet")


class _Display:
    """Shows the progress of training on stderr, and its curves in a file."""

    def __init__(self, curves: Path, stopped: Callable[[], bool]) -> None:
        self._curves, self.stopped = curves, stopped
        self._bar: ProgressBar[int] | None = None
        self._active = self._chosen = 0
        self._state = ""

    def __enter__(self) -> _Display:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def say(self, sentence: str) -> None:
        click.echo(sentence, err=True)

    def bar(self, what: str, total: int) -> AbstractContextManager[Callable[[], None]]:
        return progress.bar(what, total)

    def step(self, step: Step, done: int, steps: int) -> None:
        if self._bar is None:
            self._bar = click.progressbar(
                length=steps, label="epoch", file=sys.stderr, item_show_func=lambda _: self._state
            )
            self._bar.__enter__()
            self._bar.update(done - 1)
            self._active = self._chosen = 0
        self._active += step.active
        self._chosen += step.chosen
        share = self._active / max(1, self._chosen)
        self._state = f"loss {step.loss:.2f}, active {share:.0%}"
        self._bar.update(1)

    def epochs(self, epochs: list[Epoch], best: int, far: float) -> None:
        self._close()
        epoch = epochs[-1]
        general = "" if epoch.general is None else f", general set {epoch.general:.1%}"
        learned = f"loss {epoch.loss:.2f}, active {epoch.active:.1%}, " if epoch.number else ""
        self.say(
            f"epoch {epoch.number}: {learned}TAR {epoch.tar:.1%} at FAR {far:.2g}{general}"
            + (" *" if epoch.number and epoch.number == best else "")
        )
        write_output(self._curves, as_svg(epochs, far, best).encode())

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C stops after the current step; a second one stops at once."""
    noted = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal noted
        noted = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: noted
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Lock the work folder; ConfigError where another training holds it or it is not writable."""
    try:
        with locked(work / "training", timeout=0):
            yield
    except InUse as error:
        raise ConfigError(f"{work} is {error}; wait for it, or give another --work") from None
    except OSError as error:
        raise ConfigError(f"cannot work in {work}: {error.strerror}; give another --work") from None


if __name__ == "__main__":
    main()
