"""Error curves of a model on labelled faces, with confidence bands.

Takes in embeddings and the person of each, hands on a `Curve`: shares of genuine and impostor pairs
by score, error rates by threshold, and their spread over resampled people. It draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeface_tools.people.embed import Embeddings

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_BINS = 4000  # of the cosine, -1 to 1
_SHOWN_BINS = 80
_BLOCK = 512
_RESAMPLES = 200
_CURVE_POINTS = 49
_FEWEST = 10  # impostor pairs above a score for its FAR to be more than a guess

Counts = NDArray[np.float64]
"""Shape (people, bins): pairs that a person is in, by score."""


class CurvePoint(msgspec.Struct, frozen=True):
    """The FRR at a FAR, with the band that holds 95 % of the resamples."""

    far: float
    frr: float
    low: float
    high: float


class Curve(msgspec.Struct, frozen=True):
    """One model on labelled faces."""

    what: str
    eer: float
    auc: float
    tar: dict[str, float]
    """Share of genuine pairs accepted, by FAR; only FARs of at least 10 impostor pairs."""
    thresholds: dict[str, float]
    """The score at which each of these FARs is reached."""
    points: list[CurvePoint]
    edges: list[float]
    """Scores between which `genuine` and `impostor` give the share of pairs."""
    genuine: list[float]
    impostor: list[float]


def curve(what: str, embeddings: Embeddings, people: Sequence[str]) -> Curve:
    """The curve over all pairs; the band from 200 resamples of the people with replacement.

    A pair's weight is the sum of its two people's weights minus one, the linear part of their
    product (the bootstrap of a two-sample statistic).
    """
    genuine, impostor = _by_person(embeddings, people)
    total_genuine, total_impostor = genuine.sum(axis=0), impostor.sum(axis=0) / 2
    frr, far = _rates(total_genuine, total_impostor)
    pairs = total_impostor.sum()
    lowest = max(FARS[-1], _FEWEST / pairs)
    fars = np.logspace(-1, np.log10(lowest), _CURVE_POINTS) if lowest < 0.1 else np.array([0.1])
    random = np.random.default_rng(0)
    weights = random.multinomial(len(genuine), np.full(len(genuine), 1 / len(genuine)), _RESAMPLES)
    sampled = []
    for row in weights:
        again = (row @ impostor - total_impostor).clip(0)
        sampled.append(_at(fars, *_rates(row @ genuine, again)))
    low, high = np.percentile(sampled, (2.5, 97.5), axis=0)
    points = [
        CurvePoint(*(_short(v) for v in values))
        for values in zip(fars, _at(fars, frr, far), low, high, strict=True)
    ]
    shown = _BINS // _SHOWN_BINS
    supported = [one for one in FARS if one * pairs >= _FEWEST]
    return Curve(
        what=what,
        eer=_short(_equal(frr, far)),
        auc=_short(_area(total_genuine, total_impostor)),
        tar={f"{one:g}": _short(1 - float(_at(np.array([one]), frr, far)[0])) for one in supported},
        thresholds={f"{one:g}": _threshold(far, one) for one in supported},
        points=points,
        edges=np.linspace(-1, 1, _SHOWN_BINS + 1).round(4).tolist(),
        genuine=_shares(total_genuine, shown),
        impostor=_shares(total_impostor, shown),
    )


def _by_person(embeddings: Embeddings, people: Sequence[str]) -> tuple[Counts, Counts]:
    """Genuine pairs once, under their person; impostor pairs twice, under both of their people."""
    numbers = np.unique(np.array(people), return_inverse=True)[1]
    count = int(numbers.max()) + 1
    found = np.zeros((2, count, _BINS))
    for start in range(0, len(numbers), _BLOCK):
        rows = numbers[start : start + _BLOCK]
        scores = embeddings[start : start + _BLOCK] @ embeddings.T
        bins = ((scores + 1) * (_BINS / 2)).astype(np.int32).clip(0, _BINS - 1)
        same = rows[:, None] == numbers[None, :]
        later = np.arange(len(numbers))[None, :] > np.arange(start, start + len(rows))[:, None]
        places = rows[:, None] * _BINS + bins
        for kind, chosen in enumerate((same & later, ~same)):
            counted = np.bincount(places[chosen], minlength=count * _BINS)
            found[kind] += counted.reshape(count, _BINS)
    return found[0], found[1]


def _rates(genuine: Counts, impostor: Counts) -> tuple[Counts, Counts]:
    """FRR and FAR when the threshold is the lower edge of each bin."""
    frr = np.concatenate(([0.0], np.cumsum(genuine)[:-1])) / max(genuine.sum(), 1)
    far = np.cumsum(impostor[::-1])[::-1] / max(impostor.sum(), 1)
    return frr, far


def _at(fars: Counts, frr: Counts, far: Counts) -> Counts:
    """FRR at the lowest threshold whose FAR is at most each of `fars`."""
    places = np.searchsorted(-far, -fars).clip(0, len(frr) - 1)
    found: Counts = frr[places]
    return found


def _threshold(far: Counts, wanted: float) -> float:
    """The lowest score whose FAR is at most `wanted`."""
    place = int(np.searchsorted(-far, -wanted).clip(0, _BINS - 1))
    return round(2 * place / _BINS - 1, 4)


def _equal(frr: Counts, far: Counts) -> float:
    place = int(np.argmin(np.abs(frr - far)))
    return float((frr[place] + far[place]) / 2)


def _area(genuine: Counts, impostor: Counts) -> float:
    """Chance that a genuine pair scores higher than an impostor pair."""
    below = np.cumsum(impostor) - impostor / 2
    return float(genuine @ below / max(genuine.sum() * impostor.sum(), 1))


def _shares(counts: Counts, width: int) -> list[float]:
    grouped = counts.reshape(-1, width).sum(axis=1)
    return [_short(value) for value in grouped / max(counts.sum(), 1)]


def _short(value: float) -> float:
    return float(f"{float(value):.4g}")
