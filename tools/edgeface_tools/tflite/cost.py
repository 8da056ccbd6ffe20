"""What a network costs: weights and multiply-accumulates counted, and times on boards estimated.

Takes in a float network and the form of it that a device runs, hands on a `Cost`. The times are
arithmetic, not a measurement: multiply-accumulates divided by the clock and by what a core does per
cycle. It runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgeface_tools.tflite.flatbuffer import Operator, constant, operators, unpack

_TYPE = schema.TensorType


@dataclass(frozen=True)
class Board:
    """Cores, clock in GHz, and int8 multiply-accumulates per core and cycle at best."""

    name: str
    core: str
    cores: int
    clock: float
    macs_per_cycle: int


BOARDS = (
    Board("Zero 2 W", "Cortex-A53", 4, 1.0, 8),
    Board("3B+", "Cortex-A53", 4, 1.4, 8),
    Board("4", "Cortex-A72", 4, 1.8, 16),
    Board("5", "Cortex-A76", 4, 2.4, 32),
)
EFFICIENCY = (0.25, 0.5)
"""Share of the peak that whole networks of convolutions reach, from pessimistic to good."""
PARALLEL = 0.75
"""What each core contributes when four work: memory and waiting for each other take the rest."""


class Estimate(msgspec.Struct, frozen=True):
    """Milliseconds for one face on a board, good and poor, on one core and on all of them."""

    board: str
    core: str
    one_core_ms: tuple[float, float]
    all_cores_ms: tuple[float, float]


class Cost(msgspec.Struct, frozen=True):
    """Of one face."""

    parameters: int
    """Weights of the float network, batch norms folded."""
    macs: int
    """Multiply-accumulates of its convolutions and dense layers."""
    int8_macs: int
    """Those that the device computes in int8."""
    estimates: list[Estimate]
    """Empty unless all are computed in int8: for other types there is no such arithmetic."""


def cost(network: bytes, made: bytes) -> Cost:
    """The cost of `made`, a conversion of the float network `network`."""
    found = list(operators(unpack(made)))
    total = sum(macs(one) for one in found)
    whole = sum(macs(one) for one in found if macs(one) and _in_int8(one))
    estimates = [estimate(total, board) for board in BOARDS] if 0 < total == whole else []
    return Cost(_parameters(network), total, whole, estimates)


def macs(operator: Operator) -> int:
    """Multiply-accumulates of one operator; 0 for what only moves, adds or pools."""
    if operator.name == "CONV_2D":
        _, height, width, depth = (int(n) for n in operator.inputs[1].shape)
        return _size(operator) * height * width * depth
    if operator.name == "DEPTHWISE_CONV_2D":
        _, height, width, _ = (int(n) for n in operator.inputs[1].shape)
        return _size(operator) * height * width
    if operator.name == "FULLY_CONNECTED":
        return _size(operator) * int(operator.inputs[1].shape[1])
    return 0


def estimate(count: int, board: Board) -> Estimate:
    """The time that `count` int8 multiply-accumulates take on a board."""
    peak = board.clock * 1e9 * board.macs_per_cycle
    good, poor = (1e3 * count / (peak * share) for share in reversed(EFFICIENCY))
    cores = board.cores * PARALLEL
    return Estimate(
        board.name,
        board.core,
        (_short(good), _short(poor)),
        (_short(good / cores), _short(poor / cores)),
    )


def _size(operator: Operator) -> int:
    return int(np.prod([int(n) for n in operator.outputs[0].shape]))


def _in_int8(operator: Operator) -> bool:
    return bool({one.type for one in operator.inputs[:2]} == {_TYPE.INT8})


def _parameters(network: bytes) -> int:
    model = unpack(network)
    weights = {
        tensor.buffer: values.size
        for operator in operators(model)
        for tensor in operator.inputs
        if tensor is not None and tensor.type == _TYPE.FLOAT32
        if (values := constant(model, tensor, np.float32)) is not None
    }
    return sum(weights.values())


def _short(value: float) -> float:
    return float(f"{value:.4g}")
