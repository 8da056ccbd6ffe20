"""Trains the head of a network, epoch by epoch, until validation no longer improves.

Takes in the training and validation rows, hands on the best weights and the course of the training.
Its checkpoint holds everything on which the rest of the training depends, so that an interruption,
by Ctrl-C or by a power cut, changes only the time it takes. It reads no pictures.
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

    people, pictures: P and K of a batch. rate: Adam's initial learning rate, which falls to zero
    over `epochs` along half a cosine. patience: epochs without a better result after which to stop.
    forget: how far the TAR on the general set may fall (0.005 is half a percentage point).
    """

    epochs: int = 20
    patience: int = 5
    people: int = 24
    pictures: int = 4
    rate: float = 1e-4
    forget: float = 0.005
    seed: int = 0


class Epoch(msgspec.Struct, frozen=True):
    """The results of one epoch; epoch 0 is the base network.

    loss: mean over the batches of formula (3)'s sum. active: share of the chosen triplets with a
    loss above 0. tar, general: TAR on the held-out people and on the general set.
    """

    number: int
    loss: float
    active: float
    tar: float
    general: float | None


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Rows to train on; `targets` are the base network's encodings of the same pictures."""

    inputs: Inputs
    pool: Pool
    targets: Encodings


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """Rows to validate on, and their name in messages."""

    inputs: Inputs
    pool: Pool
    name: str


@dataclass(frozen=True)
class Outcome:
    """`best` is the number of the epoch with the highest TAR; 0 when none exceeds the base's.

    mix: the mix of the base network and that epoch that the head ends with; None where none is
    better than the base network within the allowed loss on the general set.
    """

    epochs: tuple[Epoch, ...]
    best: int
    finished: bool
    mix: Mix | None = None


_OnStep = Callable[[Step, int, int], None]
_OnEpoch = Callable[[list[Epoch], int], None]


@dataclass
class Training:
    """One training, from its beginning or from its checkpoint."""

    head: Head
    training_set: TrainingSet
    validation_set: ValidationSet
    general: ValidationSet | None
    schedule: Schedule
    checkpoint: Path
    key: str
    """Identifies everything on which the result depends: another key starts over."""
    seconds: float = 60.0
    """Time between checkpoints within an epoch."""
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
        """Train until done, or until `stopped` returns True between two steps.

        `on_step` gets each step, how many of the epoch are done and how many it has; `on_epoch`
        gets all epochs so far and the best one's number. At the end the head holds the best mix of
        the best epoch's weights with the base network's.
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
        """Put the best mix into the head. It needs only the weights: there is nothing to resume."""
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
        """The remaining steps of the current epoch; False when stopped before its end."""
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
        """End the current epoch, and keep its weights if their TAR is the highest so far.

        The general set is not considered yet: a mix with the base network may lose less on it.
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
        """Resume from the checkpoint, or measure the base network."""
        self._base = self._weights()  # by the key, a checkpoint began with the same ones
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
