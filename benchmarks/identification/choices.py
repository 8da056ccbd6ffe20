"""How the policy for identification was chosen: combining templates, and dependence of comparisons.

Takes in LFW View 1 (pictures by person and pairsDevTrain.txt, of which only the people are used)
and prints the two tables of docs/identification.md from which the constants in decide.py and the
score in gallery.py were chosen. `make identification LFW=FOLDER` runs it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.identification.experiment import Embeddings, embed, named_in
from edgeface.decide import far_per_comparison, threshold_for_far
from edgeface.pipeline.model_file import Model
from edgeface.pipeline.pipeline import FacePipeline

FPIR = 0.01
DRAWS = 20


def _centre(templates: np.ndarray, probes: np.ndarray) -> np.ndarray:
    middle = templates.mean(axis=0)
    return probes @ (middle / np.linalg.norm(middle))


def _mean_of_best(count: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda templates, probes: np.sort(probes @ templates.T)[:, -count:].mean(axis=1)


JOINS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "best": _mean_of_best(1),
    "mean of the best two": _mean_of_best(2),
    "mean of all": _mean_of_best(3),
    "centre": _centre,
    "best and centre": lambda t, p: (_mean_of_best(1)(t, p) + _centre(t, p)) / 2,
}


def joins(people: Embeddings, model: Model, seed: int = 0) -> str:
    """Each way to join three templates: what it does to FAR, and FNIR among 1,000 people."""
    names = [str(name) for name in np.random.default_rng(seed).permutation(sorted(people))]
    names.sort(key=lambda name: len(people[name]) <= 3)
    enrolled, strangers = names[:1000], np.array([people[name][0] for name in names[1000:]])
    templates = [people[name][: 3 if len(people[name]) > 3 else 1] for name in enrolled]
    owners, probes = [], []
    for owner, name in enumerate(enrolled):
        if len(people[name]) > 3:
            owners += [owner] * (len(people[name]) - 3)
            probes += list(people[name][3:])
    lines = [
        "| combined by | FAR over the table's at 1e-2, 1e-3, 1e-4 | FNIR |",
        "| --- | --- | ---: |",
    ]
    for label, join in JOINS.items():
        impostors = np.stack([join(rows, strangers) for rows in templates], axis=1)
        genuine = np.stack([join(rows, np.array(probes)) for rows in templates], axis=1)
        three = impostors[:, [len(rows) == 3 for rows in templates]]
        factors = [
            (three >= threshold_for_far(model, far)).mean() / far for far in (1e-2, 1e-3, 1e-4)
        ]
        ideal = np.quantile(impostors.max(axis=1), 1 - FPIR)
        found = (genuine.argmax(axis=1) == owners) & (genuine.max(axis=1) >= ideal)
        lines.append(
            f"| {label} | {', '.join(f'{f:.2f}' for f in factors)} | {1 - found.mean():.1%} |"
        )
    return "\n".join(lines)


def alike(people: Embeddings, model: Model) -> str:
    """FPIR if comparisons were independent (threshold at 1 % over K), by people and templates."""
    lines = ["| templates | K = 1 | 10 | 100 | 1,000 |", "| ---: | ---: | ---: | ---: | ---: |"]
    for count in (1, 2, 3):
        known = [name for name in sorted(people) if len(people[name]) >= count]
        scores = np.stack(
            [JOINS["best and centre"](people[name][:count], _firsts(people)) for name in known],
            axis=1,
        )
        row = [f"{count}"]
        for size in (1, 10, 100, 1000):
            if size > len(known):
                row.append("")
                continue
            threshold = threshold_for_far(model, far_per_comparison(FPIR, size))
            rates = [
                _fpir(scores, known, sorted(people), size, threshold, seed)
                for seed in range(max(DRAWS, 400 // size))
            ]
            row.append(f"{np.mean(rates):.2%}")
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def _firsts(people: Embeddings) -> np.ndarray:
    return np.array([people[name][0] for name in sorted(people)])


def _fpir(
    scores: np.ndarray,
    known: list[str],
    everybody: list[str],
    size: int,
    threshold: float,
    seed: int,
) -> float:
    chosen = np.random.default_rng(seed).permutation(len(known))[:size]
    enrolled = {known[column] for column in chosen}
    strangers = [row for row, name in enumerate(everybody) if name not in enrolled]
    return float((scores[np.ix_(np.array(strangers), chosen)].max(axis=1) >= threshold).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("view1", type=Path, help="folder with images/ and pairsDevTrain.txt")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--cache", type=Path, help="keep the embeddings here (.npz)")
    options = parser.parse_args()
    pipeline = FacePipeline(options.model)
    train = named_in(options.view1 / "pairsDevTrain.txt")
    people = embed(options.view1 / "images", pipeline, options.cache)
    people = {name: rows for name, rows in people.items() if name in train}
    print(joins(people, pipeline.model), alike(people, pipeline.model), sep="\n\n")


if __name__ == "__main__":
    main()
