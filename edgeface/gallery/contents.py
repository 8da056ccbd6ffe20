"""Contents: everything a gallery holds, and what must be true of it.

Takes in and hands on `Contents`, which may lie in a mapped file, so nothing here changes one in
place: people and templates are added and removed by making another. It knows no file and no score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise, starmap
from operator import lt

import numpy as np
from numpy.typing import NDArray

from edgeface.gallery.names import LONGEST_NAME, wrong_name
from edgeface.gallery.search import LARGEST_EMBEDDING, Templates, quantize

_NAMES_AT_ONCE = 1 << 16
_PEOPLE_AT_ONCE = 1024
_MANY = 64  # templates of a person
_TOLERANCE = 1e-3  # of a length: a scale and its rounding in float32 stay a thousand times below


@dataclass(frozen=True)
class Contents:
    """Everything a gallery file holds; the arrays may lie in a mapped file.

    names: UTF-8, each ended by a line feed, in byte order; counts: templates of each person (at
    least 1); templates, scales: person after person; closeness: 1 / |sum of unit templates|.
    `generation` counts the changes since the gallery was made. days: when each template was added,
    in days since 1970 (UTC), 0 where nobody knows; None where that is so of all.
    """

    model_identity: str
    generation: int
    names: bytes
    counts: NDArray[np.int32]
    closeness: NDArray[np.float32]
    templates: Templates
    scales: NDArray[np.float32]
    days: NDArray[np.int32] | None = None

    @cached_property
    def name_ends(self) -> NDArray[np.int32]:
        """Where each name's line feed is in `names`, shape (people,)."""
        return np.flatnonzero(np.frombuffer(self.names, np.uint8) == ord("\n")).astype(np.int32)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each person's templates start, and the end of the last, shape (people + 1,)."""
        starts = np.zeros(len(self.counts) + 1, np.int64)
        np.cumsum(self.counts, out=starts[1:])
        return starts

    def encoded_name(self, person: int) -> bytes:
        """A person's name in UTF-8."""
        start = int(self.name_ends[person - 1]) + 1 if person else 0
        return self.names[start : int(self.name_ends[person])]

    def rows_of(self, person: int) -> slice:
        """Which rows of `templates` are a person's."""
        return slice(int(self.starts[person]), int(self.starts[person + 1]))

    def unit_templates(self, rows: slice) -> NDArray[np.float32]:
        """Some templates as unit vectors, shape (m, n)."""
        unit: NDArray[np.float32] = self.templates[rows] * self.scales[rows, np.newaxis]
        return unit

    def days_of(self, rows: slice) -> NDArray[np.int32]:
        """When some templates were added, in days since 1970, 0 where nobody knows, shape (m,)."""
        if self.days is None:
            return np.zeros(len(self.scales[rows]), np.int32)
        return self.days[rows]

    @cached_property
    def sha256(self) -> str:
        """Of the people and their templates, in hexadecimal digits: the same for the same ones,
        however they lie in a file."""
        days = self.days_of(slice(None))
        digest = hashlib.sha256()
        for part in (self.counts, self.closeness, self.templates, self.scales, days):
            digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        digest.update(self.names)
        return digest.hexdigest()


def empty_contents(model_identity: str, numbers: int) -> Contents:
    """A gallery of nobody, for embeddings of `numbers` numbers."""
    nothing = np.empty(0, np.float32)
    templates = np.empty((0, numbers), np.int8)
    return Contents(model_identity, 0, b"", np.empty(0, np.int32), nothing, templates, nothing)


def with_people(
    contents: Contents,
    people: Mapping[bytes, NDArray[np.float32]],
    days: Mapping[bytes, NDArray[np.int32]] | None = None,
) -> Contents:
    """With the templates (unit rows, shape (m, n), m >= 1) of people who are new or known; the
    names in UTF-8. `days` says when each was added, shape (m,); nobody knows where it does not."""
    days = days or {}
    known = [contents.encoded_name(person) for person in range(len(contents.counts))]
    names = sorted({*known, *people})
    place = {name: number for number, name in enumerate(names)}
    rows, scales = quantize(np.concatenate([*people.values(), contents.unit_templates(slice(0))]))
    owners = np.concatenate(
        (
            np.repeat([place[name] for name in known], contents.counts),
            np.repeat([place[name] for name in people], [len(rows) for rows in people.values()]),
        )
    ).astype(np.int64)
    order = np.argsort(owners, kind="stable")
    unknown = [days.get(name, np.zeros(len(rows), np.int32)) for name, rows in people.items()]
    return _rebuilt(
        contents,
        b"".join(name + b"\n" for name in names),
        np.bincount(owners, minlength=len(names)),
        np.concatenate((contents.templates, rows))[order],
        np.concatenate((contents.scales, scales))[order],
        np.concatenate((contents.days_of(slice(None)), *unknown))[order],
    )


def without_person(contents: Contents, person: int) -> Contents:
    """Without one person."""
    gone = contents.rows_of(person)
    end = int(contents.name_ends[person]) + 1
    start = end - len(contents.encoded_name(person)) - 1
    return _rebuilt(
        contents,
        contents.names[:start] + contents.names[end:],
        np.delete(contents.counts, person).astype(np.int64),
        np.delete(contents.templates, gone, axis=0),
        np.delete(contents.scales, gone),
        np.delete(contents.days_of(slice(None)), gone),
    )


def with_templates(contents: Contents, keep: NDArray[np.bool_]) -> Contents:
    """With only the templates where `keep` (shape (templates,)) is True; at least one of each
    person must be."""
    counts = np.add.reduceat(keep.astype(np.int64), contents.starts[:-1])
    days = contents.days_of(slice(None))[keep]
    return _rebuilt(
        contents, contents.names, counts, contents.templates[keep], contents.scales[keep], days
    )


def sums(contents: Contents) -> Iterator[NDArray[np.float32]]:
    """The sum of each person's unit templates, shape (some people, n), some people at a time."""
    for people in _blocks(contents):
        some = contents.starts[people.start : people.stop + 1]
        unit = contents.unit_templates(slice(int(some[0]), int(some[-1])))
        yield np.add.reduceat(unit, some[:-1] - some[0], axis=0)


def _rebuilt(
    contents: Contents,
    names: bytes,
    counts: NDArray[np.int64],
    templates: Templates,
    scales: NDArray[np.float32],
    days: NDArray[np.int32],
) -> Contents:
    changed = replace(
        contents,
        names=names,
        counts=counts.astype(np.int32),
        templates=templates,
        scales=scales,
        days=days if days.any() else None,
    )
    closeness = np.concatenate([np.empty(0, np.float32), *map(_closeness, sums(changed))])
    return replace(changed, closeness=closeness.astype(np.float32))


def is_consistent(contents: Contents) -> bool:
    """Whether shapes, counts and the order of the names fit together; types are the reader's
    business."""
    templates, counts = contents.templates, contents.counts
    return (
        templates.ndim == 2
        and 0 < templates.shape[1] <= LARGEST_EMBEDDING
        and contents.generation >= 0
        and contents.scales.shape == (len(templates),)
        and contents.days_of(slice(None)).shape == (len(templates),)
        and counts.shape == contents.closeness.shape == contents.name_ends.shape
        and bool((counts > 0).all())
        and int(counts.sum(dtype=np.int64)) == len(templates)
        and _names_in_order(contents)
    )


def wrong_value(contents: Contents) -> str | None:
    """What EdgeFace would never have written in contents that are consistent, None if nothing.

    A name not in its one form, or a template that is not of unit length: its score would be no
    cosine, and could pass any threshold.
    """
    for part in _parts_of_names(contents):
        if problem := wrong_name(part):
            return problem
    with np.errstate(all="ignore"):
        return next(filter(None, map(partial(_wrong_template, contents), _blocks(contents))), None)


def _blocks(contents: Contents) -> Iterator[slice]:
    """All people, some at a time."""
    for first in range(0, len(contents.counts), _PEOPLE_AT_ONCE):
        yield slice(first, min(first + _PEOPLE_AT_ONCE, len(contents.counts)))


def _wrong_template(contents: Contents, people: slice) -> str | None:
    """What is wrong with the templates of some people, None if nothing."""
    starts = contents.starts[people.start : people.stop + 1]
    unit = contents.unit_templates(slice(int(starts[0]), int(starts[-1])))
    lengths = np.sqrt(np.einsum("ij,ij->i", unit, unit))
    if not _is_one(lengths):
        return "it holds a template that is not of unit length"
    together = _summed(unit, starts[:-1] - starts[0], contents.counts[people])
    if not _is_one(contents.closeness[people] / _closeness(together)):
        return "it holds a person whose closeness is not that of their templates"
    return None


def _summed(
    unit: NDArray[np.float32], starts: NDArray[np.int64], counts: NDArray[np.int32]
) -> NDArray[np.float32]:
    """The sum of each person's rows, six times as fast as `reduceat` where nobody has many."""
    most = int(counts.max())
    if most > _MANY:
        many: NDArray[np.float32] = np.add.reduceat(unit, starts, axis=0)
        return many
    together = unit[starts]
    for number in range(1, most):
        have = np.flatnonzero(counts > number)
        together[have] += unit[starts[have] + number]
    return together


def _is_one(values: NDArray[np.float32]) -> bool:
    """Whether all are 1, but for rounding; what is not a number is not."""
    return bool((np.abs(values - 1) <= _TOLERANCE).all())


def _closeness(together: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the sum of each person's unit templates, shape (people, n)."""
    # Opposite templates sum to nothing; the centre then counts for nothing much.
    found: NDArray[np.float32] = 1 / np.linalg.norm(together, axis=1).clip(min=1)
    return found


def _names_in_order(contents: Contents) -> bool:
    """Whether the names are of a possible length, each once, in byte order."""
    names, ends = contents.names, contents.name_ends
    if not len(ends):
        return not names
    longest = int(np.diff(ends, prepend=-1).max()) - 1
    if ends[-1] != len(names) - 1 or longest > 4 * LONGEST_NAME:
        return False
    last = b""
    for part in _parts_of_names(contents):
        some = part.split(b"\n")[:-1]
        if not (last < some[0] and all(starmap(lt, pairwise(some)))):
            return False
        last = some[-1]
    return True


def _parts_of_names(contents: Contents) -> Iterator[bytes]:
    """The names, each ended by a line feed, some at a time."""
    start = 0
    ends = contents.name_ends
    for first in range(0, len(ends), _NAMES_AT_ONCE):
        end = int(ends[min(first + _NAMES_AT_ONCE, len(ends)) - 1]) + 1
        yield contents.names[start:end]
        start = end
