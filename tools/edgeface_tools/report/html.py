"""report.html: one page that shows a report to a person.

Takes in a `Report`, hands on HTML. It measures nothing and computes nothing but positions: every
figure on the page is one of the report's.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from math import ceil, floor, log10

from edgeface_tools.people.curves import Curve
from edgeface_tools.report.charts import Axis, Line, bars, decades, linear, lines
from edgeface_tools.report.contents import LabelledAccuracy, Report

_STYLE = """
:root{color-scheme:light;--ink:#1c2430;--soft:#5c6675;--edge:#dde2e9;--float:#64748b;
--made:#c2410c;--pixels:#0f766e}
*{box-sizing:border-box}
body{margin:0;background:#f5f6f8;color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:24px 16px 48px}
h1{font-size:1.7rem;line-height:1.2;margin:.2em 0}
h2{font-size:1.15rem;margin:0 0 .5em}
p{margin:.4em 0;max-width:70ch}
.soft,figcaption,.note{color:var(--soft);font-size:.9rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}
.tile,section{background:#fff;border:1px solid var(--edge);border-radius:10px}
.tile{padding:12px 14px}
.tile b{display:block;font-size:1.45rem;line-height:1.25;font-variant-numeric:tabular-nums}
.grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px;
align-items:start}
section{padding:16px;min-width:0}
section.wide{grid-column:1/-1}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:4px 14px 4px 0;border-bottom:1px solid var(--edge);
vertical-align:top}
th{color:var(--soft);font-weight:600}
.scroll td,.scroll th{white-space:nowrap}
figure{margin:0}
svg{display:block;width:100%;height:auto}
svg text{font:13px system-ui,sans-serif;fill:var(--soft)}
@media(max-width:560px){svg text{font-size:16px}th,td{padding-right:8px}table{font-size:.86rem}}
.three{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:16px}
.three svg text{font-size:17px}
.wrap td{overflow-wrap:anywhere}.wrap td:first-child{min-width:8em}
.grid{stroke:var(--edge);stroke-width:1}
.line{fill:none;stroke-width:2.2}
.line.float{stroke:var(--float);stroke-dasharray:6 4}.line.made{stroke:var(--made)}
.line.pixels{stroke:var(--pixels)}
.band{opacity:.16}.band.float{fill:var(--float)}.band.made{fill:var(--made)}
.band.pixels{fill:var(--pixels)}
.area{opacity:.5}.area.float{fill:var(--float)}.area.made{fill:var(--made)}
.area.pixels{fill:var(--pixels)}
.key{display:inline-block;margin-right:14px;white-space:nowrap}
.key i{display:inline-block;width:14px;height:10px;border-radius:2px;margin-right:5px}
.i-float{background:var(--float)}.i-made{background:var(--made)}.i-pixels{background:var(--pixels)}
.faces{display:flex;flex-wrap:wrap;gap:16px}
.faces figure{display:flex;flex-wrap:wrap;gap:8px;align-items:flex-end}
.faces figcaption{flex-basis:100%}
.faces img{height:128px;width:auto;border-radius:6px;display:block}
code{font-size:.88em;overflow-wrap:anywhere}
"""


def page(report: Report) -> str:
    """The whole page."""
    found = report.inspection
    about = found.description
    title = f"{report.name}, {about.precision if about else ''}"
    parts = [
        _summary(report),
        '<div class="grid2">',
        _samples(report),
        _parity(report),
        _noise(report),
        *(_people(report.people, about.precision if about else "") if report.people else ()),
        _operators(report),
        _latency(report),
        _description(report),
        "</div>",
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f'<p class="soft">{escape(report.tool)}</p><h1>{escape(title)}</h1>'
        f"{''.join(parts)}</main></body></html>\n"
    )


def _summary(report: Report) -> str:
    found = report.inspection
    tiles = [
        ("size", f"{_megabytes(found.bytes)} MB"),
        ("of the float network", f"{_megabytes(report.float_bytes)} MB"),
        ("median cosine with float", f"{report.parity.median:.4f}"),
        ("TFLite from", found.minimum_runtime),
    ]
    here = [one for one in report.latency if one.trial.p50_ms is not None]
    if here:
        last = [one for one in here if one.trial.runtime == here[0].trial.runtime][-1]
        tiles.append((f"a face, {last.trial.runtime}", f"{last.trial.p50_ms:.1f} ms"))
    made = [one for one in report.people.curves if one.what != "pixels"] if report.people else []
    if made:
        tiles.append(("equal error rate", _percent(made[-1].eer)))
    shown = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span class="soft">{escape(label)}</span></div>'
        for label, value in tiles
    )
    return f'<div class="tiles">{shown}</div>'


def _samples(report: Report) -> str:
    figures = "".join(
        f'<figure><img src="{one.before}" alt="{escape(one.name)} as it is">'
        f'<img src="{one.after}" alt="{escape(one.name)} aligned">'
        f"<figcaption>{escape(one.name)}</figcaption></figure>"
        for one in report.samples
    )
    about = report.inspection.description
    side = about.input.size if about else 0
    return _section(
        "What the network sees",
        f"<p>Each portrait that ships with EdgeFace, and its face as it is found, turned upright "
        f'and cut to {side}x{side} pixels.</p><div class="faces">{figures}</div>',
        wide=True,
    )


def _parity(report: Report) -> str:
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
    return _section(
        "How near it stays to the float network",
        f"<p>Cosine between both embeddings of {found.faces} faces ({escape(found.what)}).</p>"
        f"<figure>{chart}</figure>{_table((), rows)}",
    )


def _noise(report: Report) -> str:
    levels = [one.sqnr_db for one in report.noise]
    if not levels:
        return ""
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
    return _section(
        "Noise of each layer",
        f"<p>Signal to quantization noise ratio at the output of each of {len(levels)} layers on "
        f"{report.noise_faces} faces, the noise of the layers before included; the worst are "
        f"below, all are in report.json.</p><figure>{chart}</figure>"
        + _table(("dB", "operator", "layer"), rows),
    )


def _people(found: LabelledAccuracy, precision: str) -> Iterable[str]:
    kinds = {"float32": "float", precision: "made", "pixels": "pixels"}
    keys = "".join(
        f'<span class="key"><i class="i-{kinds[one.what]}"></i>{escape(one.what)}</span>'
        for one in found.curves
    )
    lowest = floor(log10(max(1e-9, min(p.far for one in found.curves for p in one.points))))
    rates = [rate for one in found.curves for p in one.points for rate in (p.low, p.frr)]
    least = min((rate for rate in rates if rate > 0), default=1e-3)
    drawn = [
        Line(
            kinds[one.what],
            [(p.far, p.frr) for p in one.points],
            [(p.far, p.low, p.high) for p in one.points],
        )
        for one in reversed(found.curves)  # float, which is dashed, last: over the converted
    ]
    det = lines(
        decades("false accept rate (strangers taken for a person)", lowest, -1),
        decades("false reject rate", max(-5, floor(log10(least))), 0),
        drawn,
        "detection error trade-off of each model",
    )
    skipped = f"; {len(found.skipped)} pictures without a face" if found.skipped else ""
    yield _section(
        "Errors on labelled faces",
        f"<p>All cross pairs of {found.faces} faces of {found.people} people "
        f"({escape(found.what)}{skipped}): {found.genuine_pairs} genuine and "
        f"{found.impostor_pairs} impostor pairs. Bands hold 95 of 100 resamples of the people. "
        f"Pixels: the cosine of the grey pictures themselves, without a network.</p>"
        f"<p>{keys}</p><figure>{det}</figure>",
    )
    fars = sorted({far for one in found.curves for far in one.tar}, key=float, reverse=True)
    rows = [
        ("equal error rate", *(_percent(one.eer) for one in found.curves)),
        ("area under the ROC", *(f"{one.auc:.4f}" for one in found.curves)),
    ]
    for far in fars:
        shares = (_percent(one.tar[far]) if far in one.tar else "" for one in found.curves)
        rows.append((f"TAR at FAR {far}", *shares))
    listed = ""
    if found.listed:
        listed = "<p>On the listed pairs, threshold chosen on nine tenths, read on the tenth:</p>"
        listed += _table(
            ("", *(one.what for one in found.listed)),
            [
                ("pairs", *(str(one.pairs) for one in found.listed)),
                ("accuracy", *(_percent(one.accuracy) for one in found.listed)),
                ("its deviation", *(_percent(one.accuracy_std) for one in found.listed)),
                ("equal error rate", *(_percent(one.eer) for one in found.listed)),
            ],
        )
    head = ("", *(one.what for one in found.curves))
    yield _section("Operating points", _table(head, rows) + listed)
    histograms = "".join(
        f"<figure><figcaption>{escape(one.what)}</figcaption>{_histogram(one)}</figure>"
        for one in found.curves
    )
    yield _section(
        "Scores of genuine and impostor pairs",
        '<p><span class="key"><i class="i-float"></i>impostor</span>'
        '<span class="key"><i class="i-made"></i>genuine</span></p>'
        f'<div class="three">{histograms}</div>',
        wide=True,
    )


def _histogram(one: Curve) -> str:
    genuine, impostor, edges = one.genuine, one.impostor, one.edges
    return bars(
        linear("score", -1, 1, 4),
        _from_zero("share of pairs", max(*genuine, *impostor)),
        [
            ("float", list(zip(edges[:-1], impostor, strict=True))),
            ("made", list(zip(edges[:-1], genuine, strict=True))),
        ],
        "histogram of scores",
    )


def _operators(report: Report) -> str:
    found = report.inspection
    rows = [
        (one.name, str(one.version), str(one.count), one.since or "unknown")
        for one in found.operators
    ]
    loads = [(runtime, answer) for runtime, answer in found.runs_on.items()]
    return _section(
        "Operators",
        f"<p>{_megabytes(found.bytes)} MB, {escape(found.input_type)} in, "
        f"{escape(found.output_type)} out; runs from TFLite {escape(found.minimum_runtime)}.</p>"
        + _table(("operator", "version", "count", "since"), rows)
        + _table(("runtime", "loads"), loads),
    )


def _latency(report: Report) -> str:
    rows = [
        (
            f"{one.trial.runtime} {one.trial.version}",
            one.precision,
            *(
                (f"{one.trial.p50_ms:.1f}", f"{one.trial.p95_ms:.1f}", f"{one.trial.cpu_ms:.1f}")
                if one.trial.p50_ms is not None
                else (one.trial.why_not or "", "", "")
            ),
        )
        for one in report.latency
    ]
    return _section(
        "Latency",
        "<p>One aligned face encoded on this machine: median and 95th percentile in "
        "milliseconds, and the processor time on one thread.</p>"
        + _table(("runtime", "precision", "p50", "p95", "cpu"), rows),
    )


def _description(report: Report) -> str:
    about = report.inspection.description
    if about is None:
        return ""
    spec = about.input
    fixed = "" if spec.normalization == "per-image" else f" ({spec.offset:g}, {spec.scale:g})"
    rows = [
        ("source", f"{about.source.name}, sha256 {about.source.sha256}"),
        ("input", f"{spec.size}x{spec.size}, {spec.colour}, {spec.normalization}{fixed}"),
        ("embedding", f"{about.embedding.size} numbers"),
        ("calibrated on", f"{report.calibration.used} faces of {report.calibration.what}"),
    ]
    text = _table((), rows, "wrap")
    if report.calibration.skipped:
        told = [(one.picture, one.why) for one in report.calibration.skipped]
        text += "<p>Pictures that were skipped:</p>" + _table((), told, "wrap")
    if about.scores is not None:
        table = about.scores
        text += (
            f"<p>Scores that a share of impostors reaches, from {table.impostor_pairs} impostor "
            f"pairs ({escape(table.measured_on)}):</p>"
        )
        text += _table(
            ("FAR", "score", ""),
            [
                (f"{p.far:g}", f"{p.score:.4f}", "" if p.supported else "a guess")
                for p in table.points
            ],
        )
    return _section("What the file says of itself", text)


def _section(title: str, body: str, *, wide: bool = False) -> str:
    kind = ' class="wide"' if wide else ""
    return f"<section{kind}><h2>{escape(title)}</h2>{body}</section>"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], kind: str = "scroll") -> str:
    text = ""
    if head:
        text = "<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"
    for row in rows:
        text += "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
    return f'<div class="{kind}"><table>{text}</table></div>'


def _from_zero(label: str, highest: float) -> Axis:
    """An axis up to a round number that is not less, in round steps."""
    unit = 10.0 ** floor(log10(max(highest, 1e-6)))
    top = next(n for n in (1, 2, 4, 5, 8, 10) if n * unit >= highest)
    return linear(label, 0, top * unit, 4 if top in (2, 4, 8) else 5)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f}"
