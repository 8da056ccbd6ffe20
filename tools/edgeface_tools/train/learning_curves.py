"""Draws the learning curves: the loss, and the share of genuine pairs that pass, by epoch.

Takes in the epochs, hands on an SVG picture as text.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeface_tools.charts import Axis, Line, Panel, Point, document, linear, lines
from edgeface_tools.train.loop import Epoch

_COLOURS = {"training": "#c33", "held-out": "#06c", "general": "#a60", "chosen": "#090"}


def as_svg(epochs: Sequence[Epoch], far: float, best: int) -> str:
    """Two panels over the same epochs; 0 is the base network, and `best` the one that was saved."""
    last = max(1, len(epochs) - 1)
    across = Axis(
        "epoch, 0 the base network",
        0,
        last,
        tuple((epoch, str(epoch)) for epoch in range(0, last + 1, -(-last // 10))),
    )
    losses = Line("training", [(epoch.number, epoch.loss) for epoch in epochs[1:]])
    passed = [Line("held-out", [(epoch.number, epoch.tar) for epoch in epochs])]
    labels = {"held-out": "held-out people", "chosen": "the epoch that was saved"}
    general: list[Point] = [(e.number, e.general) for e in epochs if e.general is not None]
    if general:
        passed.append(Line("general", general))
        labels["general"] = "general set"
    shares = _fitting("share of genuine pairs", passed)
    chosen = Line("chosen", [(best, shares.low), (best, shares.high)])
    return document(
        [
            Panel(
                "Triplet loss",
                lines(across, _fitting("mean over the batches", [losses]), [losses], "loss"),
                {"training": "training"},
            ),
            Panel(
                f"Genuine pairs that pass at FAR {far:.2g}",
                lines(across, shares, [*passed, chosen], "genuine pairs that pass"),
                labels,
            ),
        ],
        _COLOURS,
    )


def _fitting(label: str, drawn: Sequence[Line]) -> Axis:
    values = [value for line in drawn for _, value in line.points] or [0.0, 1.0]
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or 0.01
    return linear(label, low - room, high + room, 4, "{:.3g}")
