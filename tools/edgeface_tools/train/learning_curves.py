"""Draws the learning curves: the loss, and the share of genuine pairs that pass, by epoch.

Takes in the epochs, hands on an SVG picture as text.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeface_tools.train.loop import Epoch

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 300, 64, 24, 36, 44
_GREY = "#ddd"

_Line = tuple[str, str, Sequence[float | None]]
"""A label, a colour, and one value for each epoch; None where there is none."""


def as_svg(epochs: Sequence[Epoch], far: float, best: int) -> str:
    """Two panels over the same epochs; 0 is the base network, and `best` the one that was saved."""
    tars: list[_Line] = [("held-out people", "#06c", [epoch.tar for epoch in epochs])]
    if epochs[0].general is not None:
        tars.append(("general set", "#a60", [epoch.general for epoch in epochs]))
    losses: list[float | None] = [None, *(epoch.loss for epoch in epochs[1:])]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {2 * _HEIGHT}" '
        'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="#fff"/>',
        *_panel(0, "triplet loss, mean over the batches", [("training", "#c33", losses)], None),
        *_panel(_HEIGHT, f"genuine pairs that pass at FAR {far:.2g}", tars, best),
    ]
    return "\n".join([*parts, "</svg>\n"])


def _panel(top: int, title: str, lines: list[_Line], mark: int | None) -> list[str]:
    values = [value for _, _, line in lines for value in line if value is not None] or [0.0, 1.0]
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or 0.01
    low, high = low - room, high + room
    last = max(1, max(len(line) for _, _, line in lines) - 1)
    bottom = top + _HEIGHT - _BOTTOM

    def spot(epoch: int, value: float) -> tuple[float, float]:
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * epoch / last
        return across, bottom - (bottom - top - _TOP) * (value - low) / (high - low)

    parts = [f'<text x="{_LEFT}" y="{top + 22}">{title}</text>']
    for step in range(5):
        value = low + (high - low) * step / 4
        y = spot(0, value)[1]
        parts.append(
            f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="{_GREY}"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    every = -(-last // 10)
    parts += [
        f'<text x="{spot(epoch, low)[0]:.1f}" y="{bottom + 18}" text-anchor="middle">{epoch}</text>'
        for epoch in range(0, last + 1, every)
    ]
    parts.append(
        f'<text x="{_WIDTH / 2}" y="{bottom + 36}" text-anchor="middle">epoch, 0 the base</text>'
    )
    if mark is not None:
        x = spot(mark, low)[0]
        parts.append(
            f'<path d="M{x:.1f} {top + _TOP}V{bottom}" stroke="#090" stroke-dasharray="4 4"/>'
        )
    for place, (label, colour, line) in enumerate(lines):
        spots = [spot(epoch, value) for epoch, value in enumerate(line) if value is not None]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in spots)
        parts.append(
            f'<g fill="{colour}"><polyline points="{points}" fill="none" stroke="{colour}" '
            f'stroke-width="2"/>{dots}<text x="{_WIDTH - _RIGHT}" y="{top + 22 - 16 * place}" '
            f'text-anchor="end">{label}</text></g>'
        )
    return parts
