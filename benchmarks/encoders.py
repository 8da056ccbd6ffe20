"""The shipped encoders side by side: the tables of docs/encoders.md.

    make encoders LFW=folder GROUPS=table      (LFW View 1; without GROUPS no in-group rates)

Takes in LFW View 1 and perhaps a table of people and their groups, hands on Markdown. Each picture
of pairsDevTest is encoded once, as a video frame is. Every threshold is the one in the model's own
score table, which was measured on the people of pairsDevTrain, so that nothing is chosen on the
people on whom it is read. Embeddings are kept in a cache, since they take minutes.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.view1 import FAILED, FARS, TEST, Split, split
from edgeface.decide import threshold_for_far
from edgeface.errors import FaceError
from edgeface.pipeline.model_file import SHIPPED_MODELS, load_model
from edgeface.pipeline.pictures import read_picture
from edgeface.pipeline.pipeline import FacePipeline

FEWEST = 20  # people in a group
GROUP_FAR = 1e-3
_FACES = 30  # that are timed


@dataclass(frozen=True)
class Measured:
    """A model's thresholds and the scores of every two pictures of the test list."""

    name: str
    limits: dict[float, float]
    scores: NDArray[np.float32]


def encoded(name: str, test: Split, cache: Path) -> NDArray[np.float32]:
    """The embedding of each picture, NaN where no upright face was found, from the cache where it
    has them."""
    model = load_model(name)
    file = cache / f"encoders-{model.sha256[:16]}.npy"
    if file.exists():
        kept: NDArray[np.float32] = np.load(file)
        return kept
    pipeline = FacePipeline(model, threads=1)
    rows = np.full((len(test.pictures), model.description.embedding.size), np.nan, np.float32)
    for row, picture in zip(rows, test.pictures, strict=True):
        frame = read_picture(test.folder / picture)
        try:
            face = pipeline.encode(frame, pipeline.main_face(frame))
        except FaceError:
            continue
        if face.unfit is None:
            row[:] = face.embedding
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, rows)
    return rows


def measured(name: str, test: Split, cache: Path) -> Measured:
    """The scores of one model; a picture without a face matches nobody."""
    rows, model = encoded(name, test, cache), load_model(name)
    scores = np.nan_to_num(rows @ rows.T, nan=FAILED)
    return Measured(name, {far: threshold_for_far(model, far) for far in FARS}, scores)


def rates(one: Measured, people: NDArray[np.int64]) -> Iterator[tuple[float, float]]:
    """TAR, and FAR over its target, at each of `FARS`, over every pair of two pictures."""
    upper = np.triu(np.ones(one.scores.shape, bool), 1)
    same = people[:, None] == people[None]
    genuine, impostor = one.scores[upper & same], one.scores[upper & ~same]
    for far, limit in one.limits.items():
        yield float((genuine >= limit).mean()), float((impostor >= limit).mean() / far)


def group_fars(one: Measured, test: Split, groups: Path) -> dict[str, float]:
    """FAR within each group of people of the test list over its target, at the threshold learned on
    train."""
    with groups.open(newline="") as file:
        rows = {row["person"]: row for row in csv.DictReader(file, delimiter="\t")}
    names, people = [path.parts[0] for path in test.pictures], test.people
    passed = (one.scores >= one.limits[GROUP_FAR]) & np.triu(np.ones(one.scores.shape, bool), 1)
    found = {}
    for key in ("gender", "name_group"):
        of = np.array([rows.get(name, {}).get(key) or "" for name in names])
        sizes = Counter(group for group, _ in {*zip(of.tolist(), names, strict=True)})
        for group in sorted(group for group in sizes if group and sizes[group] >= FEWEST):
            inside = of == group
            pairs = np.outer(inside, inside) & (people[:, None] != people[None])
            share = passed[pairs].sum() / (pairs.sum() / 2)
            found[f"{group} ({sizes[group]} people)"] = float(share / GROUP_FAR)
    return found


def milliseconds(name: str, test: Split) -> float:
    """Processor time of aligning and encoding a face, one thread, the least of some faces."""
    pipeline, times = FacePipeline(name, threads=1), []
    for picture in test.pictures[:_FACES]:
        frame = read_picture(test.folder / picture)
        face = pipeline.main_face(frame)
        started = time.process_time()
        pipeline.encode(frame, face)
        times.append(1e3 * (time.process_time() - started))
    return min(times)


def report(view1: Path, cache: Path, groups: Path | None) -> str:
    """The tables in Markdown."""
    test = split(view1, TEST)
    found = [measured(one.name, test, cache) for one in SHIPPED_MODELS]
    lines = [
        "| model | TAR at 1e-3 | 1e-4 | 1e-5 | FAR over its target at 1e-3 | 1e-4 | 1e-5 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in found:
        pairs = [*rates(one, test.people)]
        tars = [f"{tar:.1%}" for tar, _ in pairs]
        fars = [f"{over:.2f}" for _, over in pairs]
        lines.append(f"| {one.name} | {' | '.join(tars + fars)} |")
    if groups is not None:
        by = [group_fars(one, test, groups) for one in found]
        lines += ["", f"| within | {' | '.join(one.name for one in found)} |"]
        lines.append("| --- |" + " ---: |" * len(by))
        lines += [f"| {g} | {' | '.join(f'{fars[g]:.1f}' for fars in by)} |" for g in by[0]]
    lines += ["", "| model | MB | GMAC | ms a face |", "| --- | ---: | ---: | ---: |"]
    for shipped in SHIPPED_MODELS:
        size = load_model(shipped.name).path.stat().st_size / 1e6
        took = milliseconds(shipped.name, test)
        lines.append(f"| {shipped.name} | {size:.1f} | {shipped.gmac} | {took:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("view1", type=Path, help="folder with images/ and both lists of pairs")
    parser.add_argument("--cache", type=Path, default=Path(".cache/encoders"))
    parser.add_argument("--groups", type=Path, help="TSV with person, gender and name_group")
    options = parser.parse_args()
    print(report(options.view1, options.cache, options.groups))


if __name__ == "__main__":
    main()
