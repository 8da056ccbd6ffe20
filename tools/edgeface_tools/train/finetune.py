"""Fine-tunes a face network on labelled pictures: the steps of training, in order.

    people ──► crops ──► copies ──► frozen part ──► batches ──► trained part ──► network

Takes in a base network and folders of people, hands on the network that distinguishes held-out
people best, or none when that is the base network itself. It writes only to its work folder: crops,
the frozen part's output, and the checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from edgeface.errors import ConfigError
from edgeface.pipeline.model_file import InputSpec
from edgeface_tools.convert import TEMPLATE
from edgeface_tools.network.graph import BatchNorm, Graph, Scale
from edgeface_tools.network.rewrite import simplify
from edgeface_tools.network.split import cut, default_waist, joined
from edgeface_tools.source.architectures import ARCHITECTURES
from edgeface_tools.source.fetch import fetch_facenet
from edgeface_tools.source.load import FACENET, read_graph
from edgeface_tools.source.normalization import Colour, trained_with
from edgeface_tools.train.batches import Pool
from edgeface_tools.train.camera import Camera
from edgeface_tools.train.dataset import FEW_HELD_OUT, FaceDataset, read_people, split
from edgeface_tools.train.frozen import Copies, Frozen
from edgeface_tools.train.head import Head, Inputs, Loss, Step
from edgeface_tools.train.loop import Epoch, Outcome, Schedule, Training, TrainingSet, ValidationSet
from edgeface_tools.train.validation import Separation, separation

_CHECKPOINT = "checkpoint.safetensors"


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do with the pictures; `freeze_through` names the last layer that is not trained."""

    camera: Camera
    loss: Loss
    schedule: Schedule
    copies: int = 4
    held_out: float = 0.2
    freeze_through: str | None = None


class Display(Protocol):
    """Shows the progress of a training: the command line's, or a silent one."""

    def say(self, sentence: str) -> None: ...
    def bar(self, what: str, total: int) -> AbstractContextManager[Callable[[], None]]: ...
    def step(self, step: Step, done: int, steps: int) -> None: ...
    def epochs(self, epochs: list[Epoch], best: int, far: float) -> None: ...
    def stopped(self) -> bool: ...


@dataclass(frozen=True)
class Result:
    """`network` is None when training was stopped, or found nothing better than the base."""

    outcome: Outcome
    judged: Separation
    network: Graph | None


def read_base(source: str, architecture: str | None = None) -> Graph:
    """The network in a Keras file or of named weights, or the pinned FaceNet, to be trained."""
    path = fetch_facenet().weights if source == FACENET else Path(source)
    if not path.exists():
        raise ConfigError(f"there is no file {path}; give a Keras .h5 or .keras file, or: facenet")
    return simplify(read_graph(path, architecture))


def input_of(
    base: Graph,
    architecture: str | None = None,
    colour: Colour | None = None,
    normalization: str | None = None,
) -> InputSpec:
    """How the network's pixels come: as said, else as its architecture's, else as FaceNet's.

    ConfigError for a network that begins with a step of its own unless it is said what it takes.
    """
    readers = base.consumers(base.input_name)
    if normalization is None and any(isinstance(n.operation, Scale | BatchNorm) for n in readers):
        raise ConfigError(
            "the network scales its pixels itself; say what it takes with --normalization, raw for "
            "values of 0 to 255"
        )
    known = ARCHITECTURES[architecture].input if architecture else InputSpec(0, "rgb", "per-image")
    spec = trained_with(known, colour, normalization)
    return msgspec.structs.replace(spec, size=base.input_shape[0])


def fine_tune(
    base: Graph,
    people_folder: Path,
    general_folder: Path | None,
    plan: Plan,
    work: Path,
    seconds: float,
    display: Display,
    spec: InputSpec | None = None,
) -> Result:
    """Train, resuming from `work` if it holds the same training.

    `base` takes pictures as `spec` says, by default RGB standardized one by one. A checkpoint is
    written every `seconds`.
    """
    size = base.input_shape[0]
    waist = plan.freeze_through or default_waist(base)
    before, after = cut(base, waist)
    everybody = _cut_faces(people_folder, size, work / "people.safetensors", display)
    general = None
    if general_folder is not None:
        general = _cut_faces(general_folder, size, work / "general.safetensors", display)
    learning, held = split(everybody, plan.held_out, plan.schedule.seed)
    _say_who(learning, held, display)
    frozen = Frozen(before, spec or input_of(base))
    copies = Copies(plan.camera, plan.copies, plan.schedule.seed)
    judged_by = held if held is not None else learning
    training_rows = _rows(frozen, learning, copies, work / "learning", display)
    validation_rows = training_rows
    if held is not None:
        validation_rows = _rows(frozen, held, copies, work / "held-out", display)
    head = Head(after, plan.loss)
    first_rows = training_rows[:: copies.rows]  # each picture as it was taken
    targets = np.repeat(head.encode(first_rows), copies.rows, axis=0)
    validation_set = ValidationSet(
        validation_rows, _pool(judged_by, copies.rows), "the people held out"
    )
    validation_general, everything = None, [training_rows, validation_rows]
    if general is not None:
        as_taken = Copies(Camera(), 0, plan.schedule.seed)
        rows = _rows(frozen, general, as_taken, work / "general", display)
        validation_general = ValidationSet(rows, _pool(general, 1), "the general set")
        everything.append(rows)
    judged = separation(
        head.encode(validation_set.inputs), validation_set.pool, validation_set.name
    )
    training = Training(
        head,
        TrainingSet(training_rows, _pool(learning, copies.rows), targets),
        validation_set,
        validation_general,
        plan.schedule,
        work / _CHECKPOINT,
        _key(plan, waist, everything, head),
        seconds,
    )
    outcome = training.run(
        display.stopped, display.step, lambda epochs, best: display.epochs(epochs, best, judged.far)
    )
    network = None if outcome.mix is None else joined(before, head.network)
    return Result(outcome, judged, network)


def _cut_faces(folder: Path, size: int, cache: Path, display: Display) -> FaceDataset:
    people = read_people(folder, TEMPLATE, size, cache, display.bar)
    for picture, why in people.skipped:
        display.say(f"skipped {picture}: {why}")
    return people


def _rows(
    frozen: Frozen, people: FaceDataset, copies: Copies, cache: Path, display: Display
) -> Inputs:
    with display.bar("frozen part", len(people.crops)) as step:
        return frozen.inputs(people.crops, copies, cache, step)


def _pool(people: FaceDataset, rows: int) -> Pool:
    pictures = np.arange(len(people.person), dtype=np.int32)
    return Pool(np.repeat(people.person, rows), np.repeat(pictures, rows))


def _say_who(learning: FaceDataset, held: FaceDataset | None, display: Display) -> None:
    if held is None:
        display.say(
            f"warning: {len(learning.names)} people are too few to hold any out; validation uses "
            "the training set, which shows little about anybody else"
        )
        return
    display.say(f"training on {len(learning.names)} people, validating on {len(held.names)} others")
    if len(held.names) < FEW_HELD_OUT:
        display.say(
            f"warning: {len(held.names)} people are too few for a reliable validation; use "
            f"{FEW_HELD_OUT} or more"
        )


def _key(plan: Plan, waist: str, rows: list[Inputs], head: Head) -> str:
    digest = hashlib.sha256(msgspec.json.encode((plan, waist)))
    for part in rows:
        digest.update(np.ascontiguousarray(part).view(np.uint8).data)
    for name, array in sorted(head.state().items()):
        if name.startswith("weights/"):
            digest.update(array.tobytes())
    return digest.hexdigest()


def check(plan: Plan) -> None:
    """ConfigError for options with which training is impossible."""
    schedule = plan.schedule
    wrong = {
        "--batch-people must be 2 or more": schedule.people < 2,
        "--batch-pictures must be 2 or more": schedule.pictures < 2,
        "--epochs and --patience must be 1 or more": min(schedule.epochs, schedule.patience) < 1,
        "--rate and --margin must be above 0": min(schedule.rate, plan.loss.margin) <= 0,
        "--keep, --copies and --forget must be 0 or more": min(
            plan.loss.keep, plan.copies, schedule.forget
        )
        < 0,
        "--held-out must be from 0 to 0.9": not 0 <= plan.held_out <= 0.9,
    }
    for sentence, holds in wrong.items():
        if holds:
            raise ConfigError(sentence)
