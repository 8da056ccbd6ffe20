"""Report: how well each enrolled person holds together, how near the next one is, when they were
enrolled, and whether a gallery's files are sound.

Takes in an open gallery or a path, hands on numbers and sentences. It changes and restores nothing.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import GalleryError
from edgeface.gallery.contents import Contents
from edgeface.gallery.file import is_sealed_file, read_contents
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.store import damaged_of, previous_of

MOST_COMPARED = 20_000  # people: comparing all with all takes seconds beyond
_BLOCK = 256


@dataclass(frozen=True)
class PersonReport:
    """One enrolled person. consistency: mean cosine between their templates, None with one;
    nearest, nearest_score: the most similar other person and the cosine of the two centres, None
    where there is none or there are more than 20,000 people. added: the day of each template,
    2026-01-31, None where nobody knows; alike: the mean cosine of each with the others; note: what
    somebody should look at."""

    name: str
    templates: int
    consistency: float | None
    nearest: str | None
    nearest_score: float | None
    added: tuple[str | None, ...]
    alike: tuple[float | None, ...]
    note: str | None


@dataclass(frozen=True)
class Health:
    """What was found in a gallery's files; `problems` is empty if all is well."""

    people: int
    templates: int
    generation: int
    encrypted: bool
    bytes: int
    problems: tuple[str, ...]


def people_reports(gallery: Gallery, near: float | None = None) -> list[PersonReport]:
    """A report on everybody, in the gallery's order; `near` is the cosine of two centres from which
    the two are easily taken for one another."""
    people = gallery.people
    centres = gallery.centres()
    nearest, scores = _nearest(centres) if 1 < len(people) <= MOST_COMPARED else (None, None)
    reports = []
    for person, (name, templates) in enumerate(people):
        rows = gallery.templates(name) if templates > 1 else None
        other = None if nearest is None else people[nearest[person]][0]
        score = None if scores is None else round(float(scores[person]), 4)
        reports.append(
            PersonReport(
                name,
                templates,
                None if rows is None else _consistency(rows),
                other,
                score,
                tuple(_date(day) for day in gallery.days(name).tolist()),
                (None,) if rows is None else _alike(rows),
                None if near is None or score is None or score < near else _too_near(name, other),
            )
        )
    return reports


def check(path: Path, key: bytes | None) -> Health:
    """Look at a gallery's file and the generation before it, as they are.

    Raises GalleryError when there is no gallery, or one that cannot be read.
    """
    try:
        contents = read_contents(path, key)
    except FileNotFoundError:
        raise GalleryError(
            f"there is no gallery {path}; add someone with: edgeface enroll"
        ) from None
    return Health(
        people=len(contents.counts),
        templates=len(contents.scales),
        generation=contents.generation,
        encrypted=is_sealed_file(path),
        bytes=path.stat().st_size,
        problems=tuple(_problems(path, key, contents)),
    )


def _problems(path: Path, key: bytes | None, contents: Contents) -> list[str]:
    problems = []
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        problems.append(f"others may read it (mode {mode:04o}); run: chmod 600 {path}")
    previous = previous_of(path)
    try:
        read_contents(previous, key)
    except FileNotFoundError:
        if contents.generation > 1:
            problems.append(f"there is no earlier generation {previous}; the next change makes one")
    except GalleryError as error:
        problems.append(f"{error}; the next change makes a new one")
    if damaged_of(path).exists():
        problems.append(
            f"it was damaged before: {damaged_of(path)} was put aside; check the disk, then run: "
            "edgeface gallery compact"
        )
    return problems


def _date(day: int) -> str | None:
    """A day since 1970 as 2026-01-31; None for one that is not known, or beyond the calendar."""
    try:
        return datetime.fromtimestamp(day * 86400, UTC).date().isoformat() if day > 0 else None
    except (ValueError, OverflowError):
        return None


def _too_near(name: str, other: str | None) -> str:
    return (
        f"{name} and {other} look alike: who is as near to both is reported as unknown; if they "
        f"are one person, run: edgeface merge {name!r} {other!r}"
    )


def _alike(rows: NDArray[np.float32]) -> tuple[float, ...]:
    """The mean cosine of each row with the others."""
    found = (rows @ rows.sum(axis=0) - 1) / (len(rows) - 1)
    return tuple(round(float(one), 4) for one in found)


def _consistency(rows: NDArray[np.float32]) -> float:
    """The mean cosine of all pairs of rows."""
    count = len(rows)
    total = float((rows.sum(axis=0) ** 2).sum())
    return round((total - count) / (count * (count - 1)), 4)


def _nearest(centres: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each row the other row with the largest product, and that product."""
    nearest = np.empty(len(centres), np.int64)
    scores = np.empty(len(centres), np.float32)
    for start in range(0, len(centres), _BLOCK):
        products = centres[start : start + _BLOCK] @ centres.T
        rows = np.arange(len(products))
        products[rows, start + rows] = -np.inf
        best = products.argmax(axis=1)
        nearest[start : start + _BLOCK] = best
        scores[start : start + _BLOCK] = products[rows, best]
    return nearest, scores
