"""Enrollment: which pictures of a person to keep, and whether the person is enrolled already.

Takes in the embeddings of the pictures and a change of the gallery, hands on an `Enrollment`.
It reads no pictures and writes no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeface.decide import DEFAULT_FPIR, identification_threshold, threshold_for_far
from edgeface.errors import ConfigError, FaceError, ModelError
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.duplicates import distinct
from edgeface.gallery.gallery import Gallery, Match
from edgeface.gallery.names import PersonName, near_names
from edgeface.pipeline.encode import Embedding
from edgeface.pipeline.model_file import Model

# Score limits, as the share of impostor pairs that reach them.
_SAME_PERSON_FAR = 1e-2  # a picture below it is of somebody else (wrong for 0.1 % of pictures)
_DUPLICATE_FAR = 1e-4  # two names above it are one person, unless `force` says otherwise
_LOOKALIKE = 10  # times the duplicates' share: from that score on there is a warning


@dataclass(frozen=True)
class Rejection:
    """A picture that was not enrolled, by its position in the call, and why."""

    position: int
    reason: str


@dataclass(frozen=True)
class Enrollment:
    """What `enroll` did: how many templates the person has now, how many of them are new, which
    pictures were rejected, and what to check."""

    name: str
    templates: int
    added: int
    rejected: tuple[Rejection, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """The embedding of a picture that passed the quality gates, by its position in the call."""

    position: int
    embedding: Embedding


def enroll_candidates(
    change: GalleryChange,
    model: Model,
    name: PersonName,
    candidates: Sequence[Candidate],
    rejected: Sequence[Rejection],
    *,
    force: bool,
) -> Enrollment:
    """Add the candidates that show one person to `name`; the caller commits the change.

    Raises FaceError, with the gallery unchanged, when nothing is left to add, when the pictures
    are of different people, and when the person is enrolled under another name. `force` skips
    these checks.
    """
    rejected = list(rejected)
    if candidates and not force:
        candidates, outliers = _without_outliers(change.gallery, model, name, candidates)
        rejected += outliers
    if not candidates:
        reasons = "; ".join(dict.fromkeys(r.reason for r in rejected)) or "no picture was given"
        raise FaceError(f"{name} was not enrolled: {reasons}")
    embeddings = [candidate.embedding for candidate in candidates]
    warnings = _resemblances(change.gallery, model, name, embeddings, force=force)
    if name not in change.gallery:
        warnings += near_names([name], [known for known, _ in change.gallery.people])
    fresh, repeated = _without_repeated(change.gallery, name, candidates)
    rejected += repeated
    if fresh:
        change.add(name, [candidate.embedding for candidate in fresh])
    templates = change.gallery.compare(name, embeddings[0]).templates
    in_order = tuple(sorted(rejected, key=lambda refused: refused.position))
    return Enrollment(name, templates, len(fresh), in_order, warnings)


def same_person_threshold(model: Model) -> float:
    """The score from which a picture counts as one of a person who is enrolled already."""
    return threshold_for_far(model, _SAME_PERSON_FAR)


def merge_people(
    change: GalleryChange, model: Model, name: PersonName, other: PersonName, *, force: bool
) -> int:
    """Make two names one person, `other`; how many templates that person has then.

    Raises UnknownPerson, and FaceError, with the gallery unchanged, where they do not look like one
    person: whoever resembles either would then pass for both. `force` skips that check.
    """
    moved, known = change.gallery.templates(name), change.gallery.templates(other)
    score = float((moved @ known.T).max(axis=1).min())
    if score < same_person_threshold(model) and not force:
        raise FaceError(
            f"{name} and {other} were not merged: they do not look like one person ({score:.2f}); "
            "if they are, repeat it with --force"
        )
    return change.merge(name, other)


def _without_repeated(
    gallery: Gallery, name: PersonName, candidates: Sequence[Candidate]
) -> tuple[list[Candidate], list[Rejection]]:
    """The candidates without those whose picture is enrolled already, or was given twice."""
    known = gallery.templates(name) if name in gallery else None
    needed = distinct(np.stack([candidate.embedding for candidate in candidates]), known)
    again = [
        Rejection(one.position, f"picture {one.position + 1} adds nothing: it is there already")
        for one, is_needed in zip(candidates, needed, strict=True)
        if not is_needed
    ]
    return [one for one, fits in zip(candidates, needed, strict=True) if fits], again


def _without_outliers(
    gallery: Gallery, model: Model, name: PersonName, candidates: Sequence[Candidate]
) -> tuple[list[Candidate], list[Rejection]]:
    """The candidates that look like one person, and the others with the reason.

    That person is the one enrolled under the name; for a new name, the one in most pictures.
    """
    new = np.stack([candidate.embedding for candidate in candidates])
    least = same_person_threshold(model)
    if name in gallery:
        fits = (new @ gallery.templates(name).T).max(axis=1) >= least
        others = f"{name}, who is enrolled already"
    else:
        alike = new @ new.T >= least
        np.fill_diagonal(alike, True)
        fits = alike[alike.sum(axis=1).argmax()]
        others = f"the other {_count_word(int(fits.sum()))}"
        if len(new) > 1 and 2 * fits.sum() <= len(new):
            raise FaceError(
                f"{name} was not enrolled: {_listing(candidates)} do not look like one person; "
                "use pictures of one person, or --force"
            )
    rejected = [
        Rejection(
            candidate.position, f"picture {candidate.position + 1} does not look like {others}"
        )
        for candidate, fit in zip(candidates, fits, strict=True)
        if not fit
    ]
    return [one for one, fit in zip(candidates, fits, strict=True) if fit], rejected


def _resemblances(
    gallery: Gallery, model: Model, name: PersonName, embeddings: list[Embedding], *, force: bool
) -> tuple[str, ...]:
    """A warning where the person looks like another; FaceError where they look the same."""
    other = _nearest_other(gallery, name, np.mean(embeddings, axis=0))
    if other is None:
        return ()
    duplicate = _resemblance_threshold(gallery, model, 1)
    if other.score < _resemblance_threshold(gallery, model, _LOOKALIKE):
        return ()
    looks = f"{name} looks like {other.name}, already enrolled, {other.score:.2f}"
    if other.score >= duplicate and not force:
        raise FaceError(
            f"{name} was not enrolled: {looks}; if they are two people, repeat it with --force"
        )
    return (
        f"{looks}: who is as near to both is reported as unknown, so test both of them in front of "
        "the camera",
    )


def lookalike_threshold(gallery: Gallery, model: Model) -> float | None:
    """The score from which two people are easily taken for one another; None where the model has no
    table to know it by."""
    try:
        return _resemblance_threshold(gallery, model, _LOOKALIKE)
    except (ModelError, ConfigError):
        return None


def _resemblance_threshold(gallery: Gallery, model: Model, times: int) -> float:
    """The score that `times` times the duplicates' share of impostors reaches."""
    return max(
        threshold_for_far(model, times * _DUPLICATE_FAR),
        identification_threshold(model, times * DEFAULT_FPIR, gallery.template_counts),
    )


def _nearest_other(gallery: Gallery, name: str, mean: NDArray[np.float32]) -> Match | None:
    best = gallery.search(mean / np.linalg.norm(mean), most=2)
    return next((match for match in best if match.name != name), None)


def _count_word(count: int) -> str:
    return {1: "one", 2: "two", 3: "three", 4: "four"}.get(count, str(count))


def _listing(candidates: Sequence[Candidate]) -> str:
    numbers = [str(candidate.position + 1) for candidate in candidates]
    return f"pictures {', '.join(numbers[:-1])} and {numbers[-1]}"
