"""The part of a network that is trained: its steps on the triplet loss, and its encodings.

Takes in batches of the frozen part's output, changes its own weights, hands on encodings of unit
length. Its whole state (weights, and Adam's moments) can be saved as arrays and restored, so that
training resumes as if it had never stopped. It knows no files and no people's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import ConfigError
from edgeface_tools.network.graph import Graph
from edgeface_tools.network.to_keras import as_keras, import_keras, with_weights_of
from edgeface_tools.train.triplet import MARGIN, Mining, batch_loss

Inputs = NDArray[np.float16]
"""The frozen part's output, shape (n, ...)."""

Encodings = NDArray[np.float32]
"""Shape (n, d), each row of unit length."""

_ROWS_AT_ONCE = 128


@dataclass(frozen=True)
class Loss:
    """The loss of one step: the triplet loss, and a term that keeps it near the base network.

    keep: weight of the second term, the sum over the batch of the squared distance between each
    encoding and the base network's encoding of the same picture as it was taken (not imitated).
    """

    margin: float = MARGIN
    mining: Mining = "semi-hard"
    keep: float = 0.0


@dataclass(frozen=True)
class Step:
    """One step's summed triplet loss, and how many triplets were active, chosen and valid."""

    loss: float
    active: int
    chosen: int
    valid: int


class Head:
    """A network with an optimizer."""

    def __init__(self, network: Graph, loss: Loss) -> None:
        keras = import_keras()
        import tensorflow as tf

        keras.utils.set_random_seed(0)  # needed by the next line; nothing here is random
        tf.config.experimental.enable_op_determinism()
        self._network, self._loss = network, loss
        self._model = as_keras(network)
        self._optimizer = keras.optimizers.Adam()
        self._optimizer.build(self._model.trainable_variables)
        rows = tf.TensorSpec((None, *network.input_shape), tf.float32)
        people = tf.TensorSpec((None,), tf.int32)
        targets = tf.TensorSpec((None, network.embedding_size), tf.float32)
        self._run = tf.function(self._traced, input_signature=(rows, people, targets))
        self._encode = tf.function(self._unit, input_signature=(rows,))

    @property
    def network(self) -> Graph:
        """The network with the current weights."""
        return with_weights_of(self._network, self._model)

    def step(
        self, inputs: Inputs, people: NDArray[np.int32], targets: Encodings, rate: float
    ) -> Step:
        """One step of Adam at the learning rate `rate`; it keeps near `targets`."""
        self._optimizer.learning_rate = rate
        found = self._run(inputs.astype(np.float32), people, targets)
        loss, active, chosen, valid = (value.numpy() for value in found)
        if not np.isfinite(loss):
            raise ConfigError("the loss is not a number any more; train with a smaller --rate")
        return Step(float(loss), int(active), int(chosen), int(valid))

    def encode(self, inputs: Inputs) -> Encodings:
        """The encodings of many inputs."""
        parts = [
            self._encode(inputs[start : start + _ROWS_AT_ONCE].astype(np.float32)).numpy()
            for start in range(0, len(inputs), _ROWS_AT_ONCE)
        ]
        return np.concatenate(parts)

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that training has changed, by name."""
        return {
            **{f"weights/{i}": value for i, value in enumerate(self._model.get_weights())},
            **{f"adam/{i}": v.numpy() for i, v in enumerate(self._optimizer.variables)},
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore a `state`; one without Adam's moments changes only the weights."""
        count = len(self._model.get_weights())
        self._model.set_weights([state[f"weights/{i}"] for i in range(count)])
        for i, variable in enumerate(self._optimizer.variables):
            if f"adam/{i}" in state:
                variable.assign(state[f"adam/{i}"])

    def _unit(self, inputs: Any) -> Any:
        import tensorflow as tf

        return tf.math.l2_normalize(self._model(inputs, training=False), axis=-1)

    def _traced(self, inputs: Any, people: Any, targets: Any) -> Any:
        import tensorflow as tf

        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            encodings = self._unit(inputs)
            found = batch_loss(encodings, people, self._loss.margin, self._loss.mining)
            drift = tf.reduce_sum(tf.square(encodings - targets))
            cost = found.loss + self._loss.keep * drift
        self._optimizer.apply_gradients(zip(tape.gradient(cost, variables), variables, strict=True))
        return found
