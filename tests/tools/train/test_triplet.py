"""The triplet loss: formula (3) to the letter, and every mining against three plain loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeface_tools.network.to_keras import import_keras
from edgeface_tools.train.triplet import MININGS, Mining, batch_loss, triplet_loss

import_keras()

Array = NDArray[np.float64]
Triplet = tuple[int, int, int]


def tensor(value: Array) -> object:
    import tensorflow as tf

    return tf.constant(value)


def formula_three(anchors: Array, positives: Array, negatives: Array, alpha: float) -> float:
    """The formula in plain Python, sum by sum."""
    total = 0.0
    for a, p, n in zip(anchors, positives, negatives, strict=True):
        near = sum((x - y) ** 2 for x, y in zip(a, p, strict=True))
        far = sum((x - y) ** 2 for x, y in zip(a, n, strict=True))
        total += max(near - far + alpha, 0.0)
    return total


def numerical_gradient(function: Callable[[Array], float], at: Array, step: float = 1e-6) -> Array:
    gradient = np.zeros_like(at)
    for place in np.ndindex(*at.shape):
        moved = at.copy()
        moved[place] = at[place] + step
        above = function(moved)
        moved[place] = at[place] - step
        gradient[place] = (above - function(moved)) / (2 * step)
    return gradient


def squared(x: Array, y: Array) -> float:
    return float(((x - y) ** 2).sum())


def valid_triplets(people: list[int]) -> Iterator[Triplet]:
    for a in range(len(people)):
        for p in range(len(people)):
            for n in range(len(people)):
                if a != p and people[a] == people[p] and people[a] != people[n]:
                    yield a, p, n


def by_loops(encodings: Array, people: list[int], mining: Mining) -> set[Triplet]:
    """The triplets that a mining mode chooses, found one at a time."""

    def d(i: int, j: int) -> float:
        return squared(encodings[i], encodings[j])

    triplets = list(valid_triplets(people))
    if mining == "all":
        return set(triplets)
    chosen = set()
    if mining == "hard":
        for a in {a for a, _, _ in triplets}:
            positives = sorted({p for x, p, _ in triplets if x == a})
            negatives = sorted({n for x, _, n in triplets if x == a})
            p = max(positives, key=lambda j: d(a, j))
            n = min(negatives, key=lambda j: d(a, j))
            chosen.add((a, p, n))
        return chosen
    for a, p in {(a, p) for a, p, _ in triplets}:
        farther = [n for x, y, n in triplets if (x, y) == (a, p) and d(a, n) > d(a, p)]
        if farther:
            chosen.add((a, p, min(farther, key=lambda j: d(a, j))))
    return chosen


def batch(seed: int, people: list[int], spread: float = 0.5) -> Array:
    """Unit encodings of 128 numbers, those of a person near each other, not far from others."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(people) + 1, 128)) * spread
    encodings = centres[people] + random.normal(size=(len(people), 128))
    return encodings / np.linalg.norm(encodings, axis=1, keepdims=True)


def test_an_easy_triplet_does_not_pay_for_a_hard_one() -> None:
    """By hand, in two dimensions, alpha 0.2.

    The hard triplet: ||A-P||^2 = 1, ||A-N||^2 = 0.25: it costs 1 - 0.25 + 0.2 = 0.95.
    The easy one: ||A-P||^2 = 0, ||A-N||^2 = 4: 0 - 4 + 0.2 = -3.8, so it costs 0.
    The formula's sum is 0.95. A listing that sums the batch's distances before the hinge finds
    max(1 - 4.25 + 0.2, 0) = 0, and would teach the network nothing.
    """
    anchors = np.array([[0.0, 0.0], [1.0, 0.0]])
    positives = np.array([[1.0, 0.0], [1.0, 0.0]])
    negatives = np.array([[0.0, 0.5], [-1.0, 0.0]])
    found = float(triplet_loss(tensor(anchors), tensor(positives), tensor(negatives)))
    assert found == pytest.approx(0.95, abs=1e-12)
    near, far = squared(anchors, positives), squared(anchors, negatives)
    assert max(near - far + 0.2, 0.0) == 0.0


@pytest.mark.parametrize("margin", [0.2, 0.5])
def test_loss_and_gradient_are_the_formulas(margin: float) -> None:
    import tensorflow as tf

    random = np.random.default_rng(3)
    parts = random.normal(size=(3, 12, 128)) / 128**0.5
    parts[2, ::3] = parts[1, ::3] + 0.001  # some triplets lie near the hinge, some beyond

    def loss(values: Array) -> float:
        return formula_three(values[0], values[1], values[2], margin)

    variable = tf.Variable(parts)
    with tf.GradientTape() as tape:
        found = triplet_loss(variable[0], variable[1], variable[2], margin)
    gradient = tf.convert_to_tensor(tape.gradient(found, variable)).numpy()
    assert float(found) == pytest.approx(loss(parts), abs=1e-5)
    few = (slice(None), slice(None), slice(0, 8))

    def of_few(values: Array) -> float:
        changed = parts.copy()
        changed[few] = values
        return loss(changed)

    np.testing.assert_allclose(gradient[few], numerical_gradient(of_few, parts[few]), atol=1e-5)
    costs = ((parts[0] - parts[1]) ** 2).sum(-1) - ((parts[0] - parts[2]) ** 2).sum(-1) + margin
    a, p, n = parts
    by_hand = np.stack((2 * (n - p), 2 * (p - a), 2 * (a - n))) * (costs > 0)[:, None]
    np.testing.assert_allclose(gradient, by_hand, atol=1e-5)


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize(
    "people", [[0, 0, 1, 1], [0, 1, 0, 2, 1, 1, 0, 3], [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]]
)
def test_mining_agrees_with_three_plain_loops(mining: Mining, people: list[int]) -> None:
    import tensorflow as tf

    for seed in range(8):
        encodings = batch(seed, people)
        wanted = by_loops(encodings, people, mining)
        costs = [
            squared(encodings[a], encodings[p]) - squared(encodings[a], encodings[n]) + 0.2
            for a, p, n in wanted
        ]
        variable = tf.Variable(encodings)
        with tf.GradientTape() as tape:
            found = batch_loss(variable, tf.constant(people), 0.2, mining)
        gradient = tf.convert_to_tensor(tape.gradient(found.loss, variable)).numpy()
        assert float(found.loss) == pytest.approx(sum(max(c, 0.0) for c in costs), abs=1e-5)
        assert int(found.active) == sum(c > 0 for c in costs)
        assert int(found.chosen) == len(wanted)
        assert int(found.valid) == len(list(valid_triplets(people)))
        by_hand = np.zeros_like(encodings)
        for a, p, n in wanted:
            if squared(encodings[a], encodings[p]) - squared(encodings[a], encodings[n]) > -0.2:
                by_hand[a] += 2 * (encodings[n] - encodings[p])
                by_hand[p] += 2 * (encodings[p] - encodings[a])
                by_hand[n] += 2 * (encodings[a] - encodings[n])
        np.testing.assert_allclose(gradient, by_hand, atol=1e-5)


@pytest.mark.parametrize("mining", MININGS)
def test_a_batch_without_a_triplet_costs_nothing(mining: Mining) -> None:
    import tensorflow as tf

    for people in ([0, 1, 2], [0, 0, 0]):
        found = batch_loss(tf.constant(batch(1, people)), tf.constant(people), 0.2, mining)
        assert float(found.loss) == 0.0
        assert int(found.chosen) == int(found.valid) == 0


def test_semi_hard_leaves_out_a_pair_beyond_every_negative() -> None:
    """Person 0 has two pictures at opposite ends, with person 1 between them."""
    import tensorflow as tf

    encodings = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 0.0], [1.0, 0.1]])
    people = tf.constant([0, 0, 1, 1])
    assert int(batch_loss(tf.constant(encodings), people, 0.2, "semi-hard").active) == 0
    assert float(batch_loss(tf.constant(encodings), people, 0.2, "hard").loss) > 6.0
