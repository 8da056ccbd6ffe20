"""The plot of `edgeface bench`: the time of each station by kind of frame, as SVG.

Takes in the results as `--json` prints them, hands on the SVG's text. It measures nothing.
"""

from __future__ import annotations

from typing import Any

_COLOURS = {"detect": "#06c", "align": "#4a4", "encode": "#c60", "match": "#a3a"}
_LEFT, _ROW, _WIDTH, _RIGHT = 170, 26, 720, 70


def draw(results: dict[str, Any]) -> str:
    """One bar for each frame size, number of faces and thread count; medians of the stations."""
    bars = [
        (f"{frame}, {threads} threads", figures)
        for threads, frames in results["latency_ms"].items()
        for frame, figures in frames.items()
    ]
    longest = max(figures["total"]["p50"] for _, figures in bars)
    across = (_WIDTH - _LEFT - _RIGHT) / longest
    height = _ROW * (len(bars) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
    ]
    for number, (station, colour) in enumerate(_COLOURS.items()):
        left = _LEFT + 90 * number
        parts.append(
            f'<rect x="{left}" y="8" width="12" height="12" fill="{colour}"/>'
            f'<text x="{left + 18}" y="18">{station}</text>'
        )
    for number, (label, figures) in enumerate(bars):
        y, x = _ROW * (number + 1) + 6, float(_LEFT)
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end">{label}</text>')
        for station, colour in _COLOURS.items():
            width = across * figures[station]["p50"]
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="18" fill="{colour}"/>'
            )
            x += width
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 14}">{figures["total"]["p50"]:.1f} ms</text>')
    return "\n".join([*parts, "</svg>\n"])
