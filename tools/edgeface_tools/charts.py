"""Small charts as SVG text, for a page that must work without scripts or a network, or a file.

Takes in numbers, hands on markup; colours come from the page's style by class, or from `document`
in a file of its own. Axis labels have the class `tick`: they belong to the chart's frame and are
not figures of the report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import log10

_WIDTH, _HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 22, 14, 48

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """Maps data to a position on the axis; `ticks` are (value, label)."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """A value's position, 0 to 1; values outside are placed on the edge."""
        scale: Callable[[float], float] = log10 if self.logarithmic else float
        value = min(max(value, self.low), self.high)
        return (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))


@dataclass(frozen=True)
class Line:
    """A curve with an optional band around it, (x, low, high)."""

    kind: str
    points: Sequence[Point]
    band: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True)
class Panel:
    """A chart for `document`: its title, and the label of each kind of line that has one."""

    title: str
    chart: str
    labels: Mapping[str, str]


_HEAD = 28  # of a panel, for its title
_STYLE = (
    "text{font:13px sans-serif}.tick,.axis{font-size:11px}.title{font-weight:bold}"
    ".grid{stroke:#ddd}.line{fill:none;stroke-width:2}"
)


def document(panels: Sequence[Panel], colours: Mapping[str, str]) -> str:
    """An SVG file with the panels one below the other; `colours` holds a CSS colour by kind."""
    style = _STYLE + "".join(
        f".line.{kind}{{stroke:{colour}}}text.{kind}{{fill:{colour}}}"
        for kind, colour in colours.items()
    )
    tall = _HEAD + _HEIGHT
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {tall * len(panels)}">'
            f'<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>',
            *(_placed(panel, tall * place) for place, panel in enumerate(panels)),
            "</svg>\n",
        ]
    )


def _placed(panel: Panel, top: int) -> str:
    labels = "".join(
        f'<text class="{kind}" x="{_LEFT + 8}" y="{top + _HEAD + _TOP + 18 + 17 * place}">'
        f"{escape(label)}</text>"
        for place, (kind, label) in enumerate(panel.labels.items())
    )
    return (
        f'<text class="title" x="{_LEFT}" y="{top + 20}">{escape(panel.title)}</text>'
        f'<svg y="{top + _HEAD}" width="{_WIDTH}" height="{_HEIGHT}">{panel.chart}</svg>{labels}'
    )


def lines(across: Axis, up: Axis, drawn: Sequence[Line], description: str) -> str:
    """Curves over common axes; `description` describes the chart to those who cannot see it."""
    body = []
    for line in drawn:
        if line.band:
            edge = [(x, high) for x, _, high in line.band]
            edge += [(x, low) for x, low, _ in reversed(line.band)]
            body.append(f'<polygon class="band {line.kind}" points="{_path(across, up, edge)}"/>')
    body += [
        f'<polyline class="line {line.kind}" points="{_path(across, up, line.points)}"/>'
        for line in drawn
    ]
    return _framed(across, up, "".join(body), description)


def bars(
    across: Axis,
    up: Axis,
    drawn: Sequence[tuple[str, Sequence[Point]]],
    description: str,
    marks: Sequence[tuple[float, str]] = (),
) -> str:
    """Filled steps, each (left edge, height); the series overlap, half transparent.

    Each of `marks` is an upright line at a value, with a label beside it.
    """
    body = []
    for kind, steps in drawn:
        if not steps:
            continue
        outline: list[Point] = [(steps[0][0], up.low)]
        ends = [*(x for x, _ in steps[1:]), across.high]
        for (start, height), end in zip(steps, ends, strict=True):
            outline += [(start, height), (end, height)]
        outline.append((ends[-1], up.low))
        body.append(f'<polygon class="area {kind}" points="{_path(across, up, outline)}"/>')
    for place, (value, label) in enumerate(marks):
        x, top = (
            _x(across, value),
            _TOP + 12 + 15 * place,
        )  # labels below each other: lines are near
        body.append(
            f'<line class="mark" x1="{x}" y1="{_TOP}" x2="{x}" y2="{_HEIGHT - _BOTTOM}"/>'
            f'<text x="{x + 4}" y="{top}">{escape(label)}</text>'
        )
    return _framed(across, up, "".join(body), description)


def decades(label: str, low: int, high: int) -> Axis:
    """A logarithmic axis from 10^low to 10^high."""
    ticks = tuple((10.0**power, f"1e{power}" if power else "1") for power in range(low, high + 1))
    return Axis(label, 10.0**low, 10.0**high, ticks, logarithmic=True)


def linear(label: str, low: float, high: float, steps: int, form: str = "{:g}") -> Axis:
    """A linear axis with `steps` equal parts."""
    values = [low + (high - low) * i / steps for i in range(steps + 1)]
    return Axis(label, low, high, tuple((v, form.format(v)) for v in values))


def _framed(across: Axis, up: Axis, body: str, description: str) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    marks = []
    for value, label in across.ticks:
        x = _x(across, value)
        marks.append(f'<line class="grid" x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}"/>')
        marks.append(
            f'<text class="tick" x="{x}" y="{bottom + 17}" text-anchor="middle">'
            f"{escape(label)}</text>"
        )
    for value, label in up.ticks:
        y = _y(up, value)
        marks.append(f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}"/>')
        marks.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">'
            f"{escape(label)}</text>"
        )
    middle = (_LEFT + right) / 2
    marks.append(
        f'<text class="axis" x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{escape(across.label)}</text>"
    )
    marks.append(
        f'<text class="axis" transform="translate(14 {(_TOP + bottom) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(up.label)}</text>'
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(description)}">'
        f"{''.join(marks)}{body}</svg>"
    )


def _path(across: Axis, up: Axis, points: Sequence[Point]) -> str:
    return " ".join(f"{_x(across, x)},{_y(up, y)}" for x, y in points)


def _x(axis: Axis, value: float) -> float:
    return round(_LEFT + axis.share(value) * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(axis: Axis, value: float) -> float:
    return round(_HEIGHT - _BOTTOM - axis.share(value) * (_HEIGHT - _TOP - _BOTTOM), 1)
