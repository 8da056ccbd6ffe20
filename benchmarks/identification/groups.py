"""Identification among people of one group, with and without the gallery's correction.

Takes in LFW View 1 and a table of its people (person, gender, name_group), enrolls K people of one
group, and prints how many strangers of the same group are taken for anyone, and how many of the
enrolled are missed. The form of the correction (`gallery.resemblance`, `decide.correction_for`) was
chosen on the people of pairsDevTrain.txt; `--split test` takes those of pairsDevTest.txt alone.
`make identification-groups LFW=FOLDER GROUPS=TABLE` runs both. The groups come of names, not of
faces or of the people themselves.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.identification.experiment import Embeddings, embed, named_in
from edgeface.decide import (
    NO_CORRECTION,
    Decision,
    correction_for,
    decide_among,
    identification_threshold,
)
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.names import person_name
from edgeface.pipeline.model_file import Model
from edgeface.pipeline.pipeline import FacePipeline

FPIR = 0.01
TEMPLATES = 3
PROBES = 3  # genuine ones a person at most, so that nobody counts much
DRAWS = 60
RESAMPLES = 1000
SIZES = (10, 100)
LISTS = {"train": "pairsDevTrain.txt", "test": "pairsDevTest.txt"}


@dataclass
class Counts:
    """Of each draw of the people: strangers and genuine probes, and how many went wrong."""

    strangers: list[int]
    false: list[int]
    probes: list[int]
    missed: list[int]


def groups_of(table: Path) -> dict[str, set[str]]:
    """The people of each group, by gender and by the group of their names."""
    found: dict[str, set[str]] = {}
    with table.open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            for group in (row["gender"], row["name_group"]):
                if group:
                    found.setdefault(group, set()).add(row["person"])
    return found


def measure(
    people: Embeddings, model: Model, names: list[str], size: int, *, corrected: bool
) -> tuple[Counts, float]:
    """`size` of `names` enrolled, the others strangers, over draws; and the mean correction."""
    counts, raised = Counts([], [], [], []), []
    for draw in range(DRAWS):
        order = [str(name) for name in np.random.default_rng(draw).permutation(names)]
        enrolled = {
            name: people[name][: TEMPLATES if len(people[name]) > TEMPLATES else 1]
            for name in order[:size]
        }
        with tempfile.TemporaryDirectory() as folder:
            with GalleryChange.open(Path(folder) / "gallery", model) as change:
                change.add_people({person_name(name): rows for name, rows in enrolled.items()})
            gallery = change.gallery
        correction = correction_for(model, gallery) if corrected else NO_CORRECTION
        raised.append(correction.raised)
        threshold = identification_threshold(model, FPIR, gallery.template_counts, correction)
        false = [_answer(gallery, people[name][0], threshold).match for name in order[size:]]
        missed = [
            _answer(gallery, probe, threshold).name != name
            for name, rows in enrolled.items()
            for probe in people[name][len(rows) :][:PROBES]
        ]
        counts.strangers.append(len(false))
        counts.false.append(sum(false))
        counts.probes.append(len(missed))
        counts.missed.append(sum(missed))
    return counts, float(np.mean(raised))


def _answer(gallery: Gallery, probe: np.ndarray, threshold: float) -> Decision:
    return decide_among(gallery.search(probe, most=2), threshold)


def rate(wrong: list[int], of: list[int]) -> str:
    """The rate over all draws, and the middle 95 % of it over resampled draws."""
    if not sum(of):
        return ""
    chosen = np.random.default_rng(0).integers(0, len(of), (RESAMPLES, len(of)))
    rates = np.array(wrong)[chosen].sum(axis=1) / np.maximum(1, np.array(of)[chosen].sum(axis=1))
    low, high = np.percentile(rates, (2.5, 97.5))
    return f"{sum(wrong) / sum(of):.1%} ({100 * low:.1f} to {100 * high:.1f})"


def table(people: Embeddings, model: Model, groups: dict[str, set[str]]) -> str:
    """One line for each group and size that leaves as many strangers as people enrolled, or 20."""
    lines = [
        "| group | people | enrolled | FPIR, model's threshold | FPIR, corrected | "
        "FNIR, model's threshold | FNIR, corrected | raised by |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for group, members in groups.items():
        names = sorted(members & set(people))
        for size in SIZES:
            if len(names) < size + min(size, 20):
                continue
            plain, _ = measure(people, model, names, size, corrected=False)
            fixed, raised = measure(people, model, names, size, corrected=True)
            lines.append(
                f"| {group} | {len(names)} | {size} | {rate(plain.false, plain.strangers)} | "
                f"{rate(fixed.false, fixed.strangers)} | {rate(plain.missed, plain.probes)} | "
                f"{rate(fixed.missed, fixed.probes)} | {raised:.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("view1", type=Path, help="folder with images/ and the lists of pairs")
    parser.add_argument("groups", type=Path, help="table: person, gender, name_group (TSV)")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--cache", type=Path, help="keep the embeddings here (.npz)")
    parser.add_argument("--split", choices=[*LISTS, "both"], default="train")
    options = parser.parse_args()
    pipeline = FacePipeline(options.model)
    people = embed(options.view1 / "images", pipeline, options.cache)
    chosen = list(LISTS) if options.split == "both" else [options.split]
    among = set().union(*(named_in(options.view1 / LISTS[name]) for name in chosen))
    people = {name: rows for name, rows in people.items() if name in among}
    groups = {"anyone": set(people), **groups_of(options.groups)}
    print(table(people, pipeline.model, groups))


if __name__ == "__main__":
    main()
