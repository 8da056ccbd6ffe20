"""Identification of tracks: what several observations of one face decide together.

    .venv-tools/bin/python -m benchmarks.identification.tracks LFW [--split test]

Takes in a folder of LFW View 1 (`images`, `pairsDevTrain.txt`, `pairsDevTest.txt`), hands on the
table of docs/identification.md. A track is three different pictures of a person, encoded once each,
as the service encodes frames: harder than three frames of one visit. K people are enrolled with one
picture each. Half of those with four or more pictures are enrolled and give the genuine tracks, the
others the strangers' tracks; people with one picture fill the gallery. Each way counts three of
the last five votes, as the service does: `alone` are the votes of single faces, `together` those of
`Recognizer.identify_together` where a face alone names nobody.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.attacks.protocol import wilson
from benchmarks.identification.experiment import named_in
from edgeface.errors import FaceError
from edgeface.gallery.change import GalleryChange
from edgeface.pipeline.pictures import read_picture
from edgeface.pipeline.pipeline import FacePipeline
from edgeface.recognizer import Recognizer
from edgeface.service.ballot import Ballot, Rules

LENGTH = 3  # pictures of a track
MOST = 8  # pictures of a person that are read
DRAWS = {10: 40, 100: 8, 300: 8}  # people enrolled: draws
LISTS = {"train": "pairsDevTrain.txt", "test": "pairsDevTest.txt"}
WAYS = ("alone", "together")


def embed(lfw: Path, split: str, pipeline: FacePipeline) -> dict[str, list[np.ndarray]]:
    """The embeddings of each person's main faces; of people with few pictures, of the first."""
    people: dict[str, list[np.ndarray]] = {}
    for name in sorted(named_in(lfw / LISTS[split])):
        paths = sorted((lfw / "images" / name).glob("*.jpg"))
        for path in paths[: MOST if len(paths) > LENGTH else 1]:
            picture = read_picture(path)
            try:
                encoded = pipeline.encode(picture, pipeline.main_face(picture))
            except FaceError:
                continue
            if not encoded.unfit:
                people.setdefault(name, []).append(encoded.embedding)
    return people


def answer(recognizer: Recognizer, track: list[np.ndarray], way: str) -> str | None:
    """Whom the service would recognize in a track."""
    ballot = Ballot(Rules())
    for number, embedding in enumerate(track):
        face: Any = SimpleNamespace(embedding=embedding, unfit=None)
        decision = recognizer.identify(face)
        if way == "together" and decision.name is None:
            mean = ballot.together(embedding, 1.0)
            if mean is not None:
                decision = recognizer.identify_together(face, mean)
        verdict = ballot.vote(decision, 1.0, float(number), embedding)
        if verdict is not None and verdict.name is not None:
            return verdict.name
    return None


def measure(people: dict[str, list[np.ndarray]], pipeline: FacePipeline, size: int) -> str:
    """One row of the table."""
    random_ = random.Random(size)
    missed, false = Counter[str](), Counter[str]()
    genuine = strangers = 0
    many = [name for name, rows in people.items() if len(rows) > LENGTH]
    few = [name for name in people if name not in many]
    for _ in range(DRAWS[size]):
        random_.shuffle(many)
        known = many[: min(len(many) // 2, size)]
        chosen = {name: random_.sample(people[name], LENGTH + 1) for name in known}
        filling = random_.sample(few, size - len(known))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "gallery.safetensors"
            with GalleryChange.open(path, pipeline.model) as change:
                change.add_people(
                    {name: np.array(rows[:1]) for name, rows in chosen.items()}
                    | {name: np.array(people[name][:1]) for name in filling}
                )
            recognizer = Recognizer(pipeline, path)
            for way in WAYS:
                missed[way] += sum(
                    answer(recognizer, rows[1:], way) != name for name, rows in chosen.items()
                )
                false[way] += sum(
                    answer(recognizer, people[name][:LENGTH], way) is not None
                    for name in many[len(known) :]
                )
        genuine, strangers = genuine + len(known), strangers + len(many) - len(known)
    cells = [f"{_rate(missed[way], genuine)} | {_rate(false[way], strangers)}" for way in WAYS]
    return f"| {size} | {genuine} | {strangers} | " + " | ".join(cells) + " |"


def _rate(count: int, total: int) -> str:
    low, high = wilson(count, total)
    return f"{count / total:.2%} ({100 * low:.1f} to {100 * high:.1f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lfw", type=Path)
    parser.add_argument("--split", choices=LISTS, default="test")
    given = parser.parse_args()
    pipeline = FacePipeline()
    people = embed(given.lfw, given.split, pipeline)
    print("| people | genuine tracks | strangers' | FNIR alone | FPIR | FNIR together | FPIR |")
    print("| ---: | ---: | ---: | --- | --- | --- | --- |")
    for size in DRAWS:
        print(measure(people, pipeline, size), flush=True)


if __name__ == "__main__":
    main()
