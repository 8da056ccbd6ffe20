"""One network in every precision on every runtime: the table of docs/precisions.md.

Takes in a source and LFW's development pairs, hands on rows, and Markdown made of them. Thresholds
are chosen on other folds than those they are applied to, with each model's and runtime's own
embeddings.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeface.bench.evaluate import Pair, evaluate
from edgeface.pipeline.model_file import describe
from edgeface.pipeline.runtime import installed_runtimes
from edgeface_tools.convert import ConversionOptions, Converted, convert, cut_people
from edgeface_tools.people.curves import curve
from edgeface_tools.people.embed import Embeddings
from edgeface_tools.people.labelled import Labelled, wanted
from edgeface_tools.people.population import without_population
from edgeface_tools.progress import bar
from edgeface_tools.quantize.quantize import Ends, Precision
from edgeface_tools.report.trial import Trial, runtimes_of, try_out
from edgeface_tools.source.load import Loaded

_FORMS: tuple[tuple[Precision, Ends], ...] = (
    ("float32", "int8"),
    ("float16", "int8"),
    ("dynamic", "int8"),
    ("int8", "int8"),
    ("int8", "float32"),
    ("int16x8", "int8"),
)
_FACES = 32  # encoded by every runtime; the first one encodes all, for the accuracy
_RUNS = 10
_SLOWEST = 250.0  # milliseconds per face: slower ones would take hours for the accuracy


_PAGE = """# {name} in every precision, on every runtime

Made by `make precisions LFW=FOLDER`, which runs `convert-model precisions`. Cosine: embeddings of
{faces} faces against those of the float32 network on the first runtime. Accuracy: the {pairs} pairs
of the list, each tenth judged at the threshold chosen on the other nine. TAR: over all pairs of the
list's pictures. Both are measured on the first runtime only, and not for models so slow that it
would take hours. Milliseconds: processor time of one face on one thread, which other work on the
machine changes little.

{rows}
"""


@dataclass(frozen=True)
class Row:
    """One precision on one runtime."""

    precision: str
    ends: str
    megabytes: float
    minimum_runtime: str
    trial: Trial
    cosines: tuple[float, float] | None
    """Median and least cosine with the float network."""
    accuracy: float | None
    tar: dict[str, float]


@dataclass(frozen=True)
class Table:
    """All rows and what they were measured on."""

    name: str
    faces: int
    pairs: int
    rows: list[Row]


def compare(
    loaded: Loaded,
    labelled: Path | None,
    pairs: Path,
    pythons: Iterable[Path] = (),
    calibrate: Path | None = None,
) -> Table:
    """Convert to every precision and measure each on every runtime that loads it.

    Photos in `calibrate` replace those that come with the source.
    """
    source = wanted(labelled, pairs)
    places: list[tuple[str, Path | None]] = [(name, None) for name in installed_runtimes()]
    places += [(name, python) for python in pythons for name in runtimes_of(python)]
    made = [
        convert(loaded, ConversionOptions(precision, ends, calibrate=calibrate))
        for precision, ends in _FORMS
    ]
    people = cut_people(source, made[0].description)
    few = people.crops[:: max(1, len(people.crops) // _FACES)][:_FACES]
    rows = []
    exact: Embeddings | None = None
    with tempfile.TemporaryDirectory() as scratch, bar("trying", len(made) * len(places)) as step:
        for one, (precision, ends) in zip(made, _FORMS, strict=True):
            path = Path(scratch) / f"{precision}-{ends}.tflite"
            path.write_bytes(describe(one.network, without_population(one.description)))
            centred_path = Path(scratch) / f"{precision}-{ends}-centred.tflite"
            centred_path.write_bytes(describe(one.network, one.description))
            for number, (runtime, python) in enumerate(places):
                trial, found = try_out(path, few, runtime, python, _RUNS)
                exact = found if exact is None else exact
                accuracy: float | None = None
                tar: dict[str, float] = {}
                if number == 0 and trial.p50_ms is not None and trial.p50_ms < _SLOWEST:
                    _, whole = try_out(centred_path, people.crops, runtime, python, 1)
                    accuracy, tar = _accuracy(people, whole)
                rows.append(
                    _row(one, precision, ends, trial, _cosines(exact, found), accuracy, tar)
                )
                step()
    return Table(loaded.name, len(few), len(people.pairs), rows)


def as_markdown(table: Table) -> str:
    """A page for the documentation."""
    return _PAGE.format(
        name=table.name, faces=table.faces, pairs=table.pairs, rows="\n".join(_lines(table.rows))
    )


def _lines(rows: list[Row]) -> list[str]:
    head = (
        "| precision | in, out | size | TFLite from | runtime | ms on one thread | "
        "cosine with float32, median / least | accuracy | TAR at FAR 1e-3 / 1e-4 |"
    )
    lines = [head, "| " + " | ".join(["---"] * 9) + " |"]
    for row in rows:
        trial = row.trial
        speed = f"{trial.cpu_ms:.1f}" if trial.cpu_ms is not None else f"no: {trial.why_not}"
        near = f"{row.cosines[0]:.5f} / {row.cosines[1]:.5f}" if row.cosines else ""
        right = f"{100 * row.accuracy:.1f} %" if row.accuracy is not None else ""
        known = [far for far in ("0.001", "0.0001") if far in row.tar]  # few pairs show no low FAR
        tars = " / ".join(f"{100 * row.tar[far]:.1f}" for far in known)
        lines.append(
            f"| {row.precision} | {row.ends} | {row.megabytes:.1f} MB | {row.minimum_runtime} | "
            f"{trial.runtime} {trial.version} | {speed} | {near} | {right} | "
            f"{f'{tars} %' if tars else ''} |"
        )
    return lines


def _row(
    one: Converted,
    precision: Precision,
    ends: Ends,
    trial: Trial,
    cosines: tuple[float, float] | None,
    accuracy: float | None,
    tar: dict[str, float],
) -> Row:
    types = ends if precision == "int8" else {"int16x8": "int16"}.get(precision, "float32")
    return Row(
        precision,
        types,
        len(one.network) / 1e6,
        one.description.minimum_runtime,
        trial,
        cosines,
        accuracy,
        tar,
    )


def _cosines(exact: Embeddings | None, found: Embeddings | None) -> tuple[float, float] | None:
    if exact is None or found is None:
        return None
    cosines = np.einsum("ij,ij->i", exact, found, dtype=np.float64)
    return float(np.median(cosines)), float(cosines.min())


def _accuracy(people: Labelled, rows: Embeddings | None) -> tuple[float | None, dict[str, float]]:
    if rows is None:
        return None, {}
    known: dict[Path, Embeddings | None] = dict.fromkeys(path for path, _ in people.skipped)
    known |= dict(zip(people.pictures, rows, strict=True))
    listed: list[Pair] = list(people.pairs)
    return evaluate(listed, known).accuracy, curve("", rows, people.people).tar
