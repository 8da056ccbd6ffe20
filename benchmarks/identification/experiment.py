"""Identification by gallery size: how often a stranger is taken for anyone, or a person missed.

Takes in a folder of pictures by person (LFW View 1), runs the real pipeline, gallery and decision,
and prints the table of docs/identification.md; `--plot FILE` draws it. `make identification
LFW=FOLDER` does both.

K people are enrolled: first those with four or more pictures (three templates each), then others
with one template. 2,000 people who are not enrolled are the strangers, with one picture each; the
remaining pictures of the people with three templates are the genuine probes.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeface.decide import decide_among, identification_threshold
from edgeface.errors import FaceError
from edgeface.gallery.change import GalleryChange
from edgeface.pipeline.model_file import Model
from edgeface.pipeline.pictures import read_picture
from edgeface.pipeline.pipeline import FacePipeline
from edgeface_tools.charts import Axis, Line, Panel, document, lines

SIZES = {1: 40, 10: 20, 100: 5, 1000: 5}  # people enrolled: draws
STRANGERS = 2000
TEMPLATES = 3
FPIR = 0.01

Embeddings = dict[str, np.ndarray]  # by person, shape (pictures, n)


@dataclass(frozen=True)
class Outcome:
    """Rates over all draws. fixed: FPIR with the threshold of one person for every K."""

    people: int
    threshold: float
    fpir: float
    fnir: float
    fixed: float
    ambiguous: float


def embed(folder: Path, pipeline: FacePipeline, cache: Path | None) -> Embeddings:
    """The main face of each picture of each person; pictures without a face are left out."""
    if cache and cache.exists():
        with np.load(cache) as stored:
            return dict(stored)
    rows: dict[str, list[np.ndarray]] = defaultdict(list)
    for path in sorted(folder.glob("*/*.jpg")):
        picture = read_picture(path)
        try:
            face = pipeline.main_face(picture)
        except FaceError:
            continue
        rows[path.parent.name].append(pipeline.encode(picture, face, flip_augmented=True).embedding)
    people = {name: np.array(found) for name, found in rows.items()}
    if cache:
        np.savez(cache, **people)  # type: ignore[arg-type]
    return people


def named_in(pairs: Path) -> set[str]:
    """The people in a list of pairs in LFW's format."""
    fields = [line.split("\t") for line in pairs.read_text().split("\n")[1:]]
    return {name for field in fields for name in field if name and not name.isdigit()}


def measure(
    people: Embeddings, model: Model, size: int, draws: int, strangers_among: set[str]
) -> Outcome:
    """FPIR and FNIR with `size` people enrolled, over `draws` choices of who that is."""
    strangers = fixed = false = missed = probes = ambiguous = 0
    threshold = 0.0
    for draw in range(draws):
        enrolled, unknown = _draw(people, size, random.Random(1000 * size + draw))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "gallery.safetensors"
            with GalleryChange.open(path, model) as change:
                change.add_people(enrolled)
            gallery = change.gallery
        threshold = identification_threshold(model, FPIR, gallery.template_counts)
        alone = identification_threshold(model, FPIR, gallery.template_counts[:1] * 0 + 1)
        for name in [name for name in unknown if name in strangers_among][:STRANGERS]:
            best = gallery.search(people[name][0], most=2)
            strangers += 1
            false += decide_among(best, threshold).match
            fixed += best[0].score >= alone
        for name, templates in enrolled.items():
            if len(templates) < TEMPLATES:
                continue
            for probe in people[name][TEMPLATES:]:
                decision = decide_among(gallery.search(probe, most=2), threshold)
                probes += 1
                missed += decision.name != name
                ambiguous += decision.note is not None
    return Outcome(
        size, threshold, false / strangers, missed / probes, fixed / strangers, ambiguous / probes
    )


def _draw(people: Embeddings, size: int, chance: random.Random) -> tuple[Embeddings, list[str]]:
    names = sorted(people)
    chance.shuffle(names)
    names.sort(key=lambda name: len(people[name]) <= TEMPLATES)  # keeps the order within
    enrolled = {
        name: people[name][: TEMPLATES if len(people[name]) > TEMPLATES else 1]
        for name in names[:size]
    }
    others = names[size:]
    chance.shuffle(others)
    return enrolled, others


def report(outcomes: list[Outcome]) -> str:
    """The table in Markdown."""
    lines = [
        "| enrolled | draws | threshold | FPIR (target 1 %) | FNIR | FPIR, fixed threshold | "
        "refused as ambiguous |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {c.people:,} | {SIZES[c.people]} | {c.threshold:.3f} | {c.fpir:.2%} | {c.fnir:.1%} | "
        f"{c.fixed:.1%} | {c.ambiguous:.1%} |"
        for c in outcomes
    ]
    return "\n".join(lines)


def plot(outcomes: list[Outcome], file: Path) -> None:
    """FPIR against the number of people, at the gallery's threshold and at a fixed one (SVG)."""
    across = Axis(
        "people enrolled", 1, 1000, ((1, "1"), (10, "10"), (100, "100"), (1000, "1,000")), True
    )
    shares = ((0.001, "0.1 %"), (0.01, "1 %"), (0.1, "10 %"), (1, "100 %"))
    up = Axis("FPIR", 0.001, 1, shares, logarithmic=True)
    drawn = [
        Line("fixed", [(c.people, c.fixed) for c in outcomes]),
        Line("gallery", [(c.people, c.fpir) for c in outcomes]),
    ]
    title = "Chance that a stranger is taken for anyone (FPIR)"
    labels = {
        "fixed": "fixed threshold",
        "gallery": "threshold that follows the number of people",
    }
    panel = Panel(title, lines(across, up, drawn, title), labels)
    file.write_text(document([panel], {"fixed": "#c33", "gallery": "#06c"}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder with a folder of pictures per person")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--cache", type=Path, help="keep the embeddings here (.npz)")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--strangers", type=Path, help="take them from this list of pairs alone")
    options = parser.parse_args()
    pipeline = FacePipeline(options.model)
    people = embed(options.images, pipeline, options.cache)
    among = named_in(options.strangers) if options.strangers else set(people)
    outcomes = [
        measure(people, pipeline.model, size, draws, among) for size, draws in SIZES.items()
    ]
    print(report(outcomes))
    if options.plot:
        plot(outcomes, options.plot)


if __name__ == "__main__":
    main()
