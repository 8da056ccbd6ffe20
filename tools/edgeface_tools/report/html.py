"""report.html: one page that shows a report to a person.

Takes in a `Report`, hands on HTML laid out by `report.html.j2`. It measures nothing and computes
only positions: every figure on the page is one of the report's.
"""

from __future__ import annotations

from math import ceil, floor, log10
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from edgeface.pipeline.model_file import Description, ScoreTable
from edgeface_tools.charts import Axis, Line, bars, decades, linear, lines
from edgeface_tools.people.curves import Curve
from edgeface_tools.report.contents import CalibrationFaces, LabelledAccuracy, Report
from edgeface_tools.tflite.cost import Cost

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)

Row = tuple[str, ...]


def page(report: Report) -> str:
    """The whole page."""
    inspection = report.inspection
    about = inspection.description
    precision = about.precision if about else ""
    return _TEMPLATES.get_template("report.html.j2").render(
        report=report,
        inspection=inspection,
        about=about,
        title=f"{report.name}, {precision}",
        tiles=_tiles(report),
        side=about.input.size if about else 0,
        parity=_parity(report),
        noise=_noise(report),
        people=_people(report.people, precision) if report.people else None,
        on_whom=_on_whom(report.people) if report.people else "",
        cost=_cost(report.cost),
        megabytes=_megabytes(inspection.bytes),
        operators=[
            (one.name, str(one.version), str(one.count), one.since or "unknown")
            for one in inspection.operators
        ],
        latency=_latency(report),
        description=_description(about, report.calibration) if about else [],
        skipped=[(one.picture, one.why) for one in report.calibration.skipped],
        scores=_scores(about.scores) if about and about.scores else [],
    )


def _tiles(report: Report) -> list[Row]:
    found = report.inspection
    tiles: list[Row] = [
        ("size", f"{_megabytes(found.bytes)} MB"),
        ("of the float network", f"{_megabytes(report.float_bytes)} MB"),
        ("median cosine with float", f"{report.parity.median:.4f}"),
        ("TFLite from", found.minimum_runtime),
    ]
    here = [one for one in report.latency if one.trial.p50_ms is not None]
    if here:
        last = [one for one in here if one.trial.runtime == here[0].trial.runtime][-1]
        tiles.append((f"a face, {last.trial.runtime}", f"{last.trial.p50_ms:.1f} ms"))
    here = [one for one in here if one.trial.memory_mb]
    if here:
        tiles.append(("memory of the encoder", f"{here[-1].trial.memory_mb:.1f} MB"))
    people = report.people
    # From the calibration photos, or from a handful of pairs, it would be taken for accuracy.
    if people and not people.own:
        made = [one for one in people.curves if one.what != "pixels"][-1]
        if made.tar:
            tiles.append((f"equal error rate; {_on_whom(people)}", _percent(made.eer)))
    return tiles


def _on_whom(found: LabelledAccuracy) -> str:
    """The people and pairs of a figure, and whether the network was calibrated on the same."""
    pairs = f"{found.genuine_pairs} genuine and {found.impostor_pairs} impostor pairs"
    if found.calibrated_on is None:
        whether = "who the calibration faces were is not known"
    elif found.calibrated_on:
        whether = f"calibrated on {found.calibrated_on} of these people"
    else:
        whether = "calibrated on none of these people"
    return f"{found.people} people, {pairs}; {whether}"


def _parity(report: Report) -> dict[str, Any]:
    found = report.parity
    chart = bars(
        linear("cosine of float and converted", found.edges[0], 1.0, 4),
        _from_zero("share of faces", max(found.shares)),
        [("made", list(zip(found.edges[:-1], found.shares, strict=True)))],
        "histogram of the cosine between the embeddings of the two networks",
    )
    rows = [
        ("median", f"{found.median:.5f}"),
        ("1st percentile", f"{found.percentile_1:.5f}"),
        ("least", f"{found.least:.5f}"),
    ]
    return {"chart": Markup(chart), "rows": rows}  # noqa: S704 (our own SVG, escaped)


def _noise(report: Report) -> dict[str, Any] | None:
    levels = [one.sqnr_db for one in report.noise]
    if not levels:
        return None
    low = min(0, 10 * floor(min(levels) / 10))
    high = max(10 * ceil(max(levels) / 10), low + 10)
    chart = bars(
        linear("layer, in the order they run", 0, len(levels), 4, "{:.0f}"),
        linear("SQNR, dB", low, high, (high - low) // 10, "{:.0f}"),
        [("made", list(enumerate(levels)))],
        "signal to quantization noise by layer",
    )
    worst = sorted(report.noise, key=lambda one: one.sqnr_db)[:8]
    rows = [(f"{one.sqnr_db:.1f}", one.operator, one.layer) for one in worst]
    return {"chart": Markup(chart), "rows": rows}  # noqa: S704 (our own SVG, escaped)


def _people(found: LabelledAccuracy, precision: str) -> dict[str, Any]:
    kinds = {"float32": "float", precision: "made", "pixels": "pixels"}
    lowest = floor(log10(max(1e-9, min(p.far for one in found.curves for p in one.points))))
    rates = [rate for one in found.curves for p in one.points for rate in (p.low, p.frr)]
    least = min((rate for rate in rates if rate > 0), default=1e-3)
    drawn = [
        Line(
            kinds[one.what],
            [(p.far, p.frr) for p in one.points],
            [(p.far, p.low, p.high) for p in one.points],
        )
        for one in reversed(found.curves)  # float last, dashed, over the converted one
    ]
    det = lines(
        decades("false accept rate (strangers taken for a person)", lowest, -1),
        decades("false reject rate", max(-5, floor(log10(least))), 0),
        drawn,
        "detection error trade-off of each model",
    )
    fars = sorted({far for one in found.curves for far in one.tar}, key=float, reverse=True)
    rows = [
        ("equal error rate", *(_percent(one.eer) for one in found.curves)),
        ("area under the ROC", *(f"{one.auc:.4f}" for one in found.curves)),
    ]
    for far in fars:
        shares = (_percent(one.tar[far]) if far in one.tar else "" for one in found.curves)
        rows.append((f"TAR at FAR {far}", *shares))
    listed = [
        ("pairs", *(str(one.pairs) for one in found.listed)),
        ("accuracy", *(_percent(one.accuracy) for one in found.listed)),
        ("its deviation", *(_percent(one.accuracy_std) for one in found.listed)),
        ("equal error rate", *(_percent(one.eer) for one in found.listed)),
    ]
    return {
        "kinds": kinds,
        "chart": Markup(det),  # noqa: S704 (our own SVG, escaped)
        "head": ("", *(one.what for one in found.curves)),
        "rows": rows,
        "listed_head": ("", *(one.what for one in found.listed)),
        "listed_rows": listed,
        "histograms": [(one.what, _histogram(one)) for one in found.curves],
    }


def _histogram(one: Curve) -> Markup:
    genuine, impostor, edges = one.genuine, one.impostor, one.edges
    chart = bars(
        linear("score", -1, 1, 4),
        _from_zero("share of pairs", max(*genuine, *impostor)),
        [
            ("float", list(zip(edges[:-1], impostor, strict=True))),
            ("made", list(zip(edges[:-1], genuine, strict=True))),
        ],
        "histogram of scores",
        [(score, f"FAR {far}") for far, score in one.thresholds.items()],
    )
    return Markup(chart)  # noqa: S704 (our own SVG, escaped)


def _latency(report: Report) -> list[Row]:
    return [
        (
            f"{one.trial.runtime} {one.trial.version}",
            one.precision,
            *(
                (
                    f"{one.trial.p50_ms:.1f}",
                    f"{one.trial.p95_ms:.1f}",
                    f"{one.trial.cpu_ms:.1f}",
                    f"{one.trial.memory_mb:.1f}" if one.trial.memory_mb else "",
                )
                if one.trial.p50_ms is not None
                else (one.trial.why_not or "", "", "", "")
            ),
        )
        for one in report.latency
    ]


def _description(about: Description, calibration: CalibrationFaces) -> list[Row]:
    spec = about.input
    fixed = "" if spec.normalization == "per-image" else f" ({spec.offset:g}, {spec.scale:g})"
    return [
        ("source", f"{about.source.name}, sha256 {about.source.sha256}"),
        ("input", f"{spec.size}x{spec.size}, {spec.colour}, {spec.normalization}{fixed}"),
        ("embedding", f"{about.embedding.size} numbers"),
        (
            "calibrated on" if calibration.calibrated else "compared on",
            f"{calibration.used} faces of {calibration.what}",
        ),
    ]


def _cost(found: Cost) -> dict[str, list[Row]]:
    return {
        "counts": [
            ("parameters, batch norms folded", _count(found.parameters)),
            ("multiply-accumulates for a face", _count(found.macs)),
            ("of these in int8", _count(found.int8_macs)),
        ],
        "boards": [
            (f"Pi {one.board}", one.core, _between(one.one_core_ms), _between(one.all_cores_ms))
            for one in found.estimates
        ],
    }


def _between(times: tuple[float, float]) -> str:
    return f"{times[0]:.3g} to {times[1]:.3g}"


def _count(value: int) -> str:
    return f"{value / 1e6:.1f} million" if value >= 1e6 else str(value)


def _scores(table: ScoreTable) -> list[Row]:
    return [
        (f"{p.far:g}", f"{p.score:.4f}", "" if p.supported else "a guess") for p in table.points
    ]


def _from_zero(label: str, highest: float) -> Axis:
    """An axis from 0 up to the next round number, in round steps."""
    unit = 10.0 ** floor(log10(max(highest, 1e-6)))
    top = next(n for n in (1, 2, 4, 5, 8, 10) if n * unit >= highest)
    return linear(label, 0, top * unit, 4 if top in (2, 4, 8) else 5)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f}"
