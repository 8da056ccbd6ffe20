"""Trains the head of a network, epoch by epoch, until it separates held-out people no better.

Takes in the rows to learn from and those to judge by, hands on the best weights and how it went.
Everything that the rest of the training depends on is in its checkpoint, so that stopping, by
Ctrl-C or by a power cut, changes nothing but when it is done. It reads no pictures.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from edgeface_tools.train.arrays import Arrays, load_arrays, save_arrays
from edgeface_tools.train.batches import Pool, batches, steps_per_epoch
from edgeface_tools.train.head import Encodings, Head, Inputs, Step
from edgeface_tools.train.mixing import Mix, best_mix, mixed
from edgeface_tools.train.validation import separation


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long, in what batches and how fast.

    people, pictures: P and K of a batch. rate: Adam's learning rate in the beginning, from where it
    falls to zero over `epochs` along half a cosine. patience: epochs without a better result after
    which to stop. forget: how far the TAR on the general set may fall (0.005 is half a point).
    """

    epochs: int = 20
    patience: int = 5
    people: int = 24
    pictures: int = 4
    rate: float = 1e-4
    forget: float = 0.005
    seed: int = 0


class Epoch(msgspec.Struct, frozen=True):
    """What one epoch came to; epoch 0 is the base network.

    loss: mean over the batches of formula (3)'s sum. active: share of the chosen triplets that
    cost something. tar, general: TAR on the held-out people and on the general set.
    """

    number: int
    loss: float
    active: float
    tar: float
    general: float | None


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Rows to learn from; `targets` are the base network's encodings of the same pictures."""

    inputs: Inputs
    pool: Pool
    targets: Encodings


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """Rows to judge by, and what they are called in messages."""

    inputs: Inputs
    pool: Pool
    name: str


@dataclass(frozen=True)
class Outcome:
    """`best` is the number of the epoch with the highest TAR; 0 when none exceeds the base's.

    mix: how far from the base network to that epoch the head was left; None where no mix is better
    than the base network without forgetting more than it may.
    """

    epochs: tuple[Epoch, ...]
    best: int
    finished: bool
    mix: Mix | None = None


_OnStep = Callable[[Step, int, int], None]
_OnEpoch = Callable[[list[Epoch], int], None]


@dataclass
class Training:
    """One training, from its beginning or from where its checkpoint left it."""

    head: Head
    training_set: TrainingSet
    validation_set: ValidationSet
    general: ValidationSet | None
    schedule: Schedule
    checkpoint: Path
    key: str
    """Of everything that the result depends on: with another key the training starts over."""
    seconds: float = 60.0
    """Between two checkpoints within an epoch."""
    _epochs: list[Epoch] = field(default_factory=list)
    _steps: list[Step] = field(default_factory=list)
    _base: Arrays = field(default_factory=dict)
    _best: Arrays = field(default_factory=dict)
    _best_epoch: int = 0

    def run(
        self,
        stopped: Callable[[], bool] = lambda: False,
        on_step: _OnStep = lambda step, done, steps: None,
        on_epoch: _OnEpoch = lambda epochs, best: None,
    ) -> Outcome:
        """Train until done, or until `stopped` says so between two steps.

        `on_step` gets each step, how many of the epoch are done and how many it has; `on_epoch`
        all epochs so far and the best one's number. When it is done, the head holds the best mix
        of the best epoch's weights with the base network's.
        """
        self._begin()
        on_epoch(self._epochs, self._best_epoch)
        while not self._done():
            if not self._epoch(stopped, on_step):
                self._save()
                return Outcome(tuple(self._epochs), self._best_epoch, finished=False)
            self._judge()
            self._save()
            on_epoch(self._epochs, self._best_epoch)
        mix = self._mix() if self._best_epoch else None
        return Outcome(tuple(self._epochs), self._best_epoch, finished=True, mix=mix)

    def _mix(self) -> Mix | None:
        """Leave the best mix in the head. It follows from the weights alone: nothing to resume."""
        first, best = self._epochs[0], self._epochs[self._best_epoch]

        def judge(weights: Arrays, share: float) -> Mix:
            self.head.restore(weights)
            found = self._measured(best.number, best.loss, best.active)
            return Mix(share, found.tar, found.general)

        before = Mix(0.0, first.tar, first.general)
        chosen = best_mix(self._base, self._best, before, self.schedule.forget, judge)
        self.head.restore(mixed(self._base, self._best, chosen.share if chosen else 0.0))
        return chosen

    def _done(self) -> bool:
        epochs = len(self._epochs) - 1
        return epochs >= self.schedule.epochs or epochs - self._best_epoch >= self.schedule.patience

    def _epoch(self, stopped: Callable[[], bool], on_step: _OnStep) -> bool:
        """The running epoch's remaining steps; False when stopped among them."""
        plan, number = self.schedule, len(self._epochs) - 1
        steps = steps_per_epoch(self.training_set.pool, plan.people, plan.pictures)
        saved = time.monotonic()
        for rows in batches(
            self.training_set.pool, plan.people, plan.pictures, plan.seed, number, len(self._steps)
        ):
            if stopped():
                return False
            part = (number + len(self._steps) / steps) / plan.epochs
            step = self.head.step(
                self.training_set.inputs[rows],
                self.training_set.pool.person[rows],
                self.training_set.targets[rows],
                plan.rate * (1 + math.cos(math.pi * part)) / 2,
            )
            self._steps.append(step)
            on_step(step, len(self._steps), steps)
            if time.monotonic() - saved >= self.seconds:
                self._save()
                saved = time.monotonic()
        return True

    def _judge(self) -> None:
        """End the running epoch, and keep its weights if their TAR is the highest so far.

        What they forgot is not asked yet: a mix with the base network may have forgotten less.
        """
        steps, self._steps = self._steps, []
        loss = sum(step.loss for step in steps) / len(steps)
        active = sum(step.active for step in steps) / max(1, sum(step.chosen for step in steps))
        epoch = self._measured(len(self._epochs), loss, active)
        if epoch.tar > self._epochs[self._best_epoch].tar:
            self._best_epoch = epoch.number
            self._best = self._weights()
        self._epochs.append(epoch)

    def _measured(self, number: int, loss: float, active: float) -> Epoch:
        tars = [
            separation(
                self.head.encode(validation_set.inputs), validation_set.pool, validation_set.name
            ).tar
            for validation_set in (self.validation_set, self.general)
            if validation_set is not None
        ]
        return Epoch(number, loss, active, tars[0], tars[1] if len(tars) > 1 else None)

    def _weights(self) -> Arrays:
        return {name: a for name, a in self.head.state().items() if name.startswith("weights/")}

    def _begin(self) -> None:
        """Take up the checkpoint, or measure the base network."""
        self._base = self._weights()  # the key vouches that a checkpoint began with the same
        kept = load_arrays(self.checkpoint, self.key)
        if kept is None:
            self._epochs = [self._measured(0, math.nan, math.nan)]
            self._best = self._weights()
            return
        self.head.restore({k: a for k, a in kept.items() if k.startswith(("weights/", "adam/"))})
        self._best = {
            name.removeprefix("best/"): a for name, a in kept.items() if name.startswith("best/")
        }
        self._best_epoch = int(kept["best_epoch"][0])
        general = self.general is not None
        self._epochs = [
            Epoch(number, loss, active, tar, float(general_tar) if general else None)
            for number, (loss, active, tar, general_tar) in enumerate(kept["epochs"].tolist())
        ]
        self._steps = [
            Step(float(loss), *map(int, counts)) for loss, *counts in kept["steps"].tolist()
        ]

    def _save(self) -> None:
        epochs = [
            (e.loss, e.active, e.tar, math.nan if e.general is None else e.general)
            for e in self._epochs
        ]
        steps = [(s.loss, s.active, s.chosen, s.valid) for s in self._steps]
        arrays = {
            **self.head.state(),
            **{f"best/{name}": array for name, array in self._best.items()},
            "best_epoch": np.array([self._best_epoch]),
            "epochs": np.array(epochs, np.float64).reshape(-1, 4),
            "steps": np.array(steps, np.float64).reshape(-1, 4),
        }
        save_arrays(self.checkpoint, self.key, arrays)
