"""The triplet loss and the mining of triplets within a batch, as TensorFlow computes them.

Takes in the encodings of a batch and whose they are, hands on the loss of the chosen triplets and
how many of them are active. It knows no network and no pictures. The functions import TensorFlow,
so that listing the options costs nothing.

Formula (3) of the tutorial, which is that of Schroff, Kalenichenko and Philbin 2015, "FaceNet: A
Unified Embedding for Face Recognition and Clustering", section 3.1:

    loss = sum over the triplets of max(||f(A) - f(P)||^2 - ||f(A) - f(N)||^2 + alpha, 0)

with the squared distance summed over the components of an encoding. The hinge is taken triplet by
triplet, before the sum: taken after a sum over the batch, easy triplets would pay for hard ones.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

Mining = Literal["semi-hard", "hard", "all"]
MININGS: tuple[Mining, ...] = get_args(Mining)

MARGIN = 0.2
"""The alpha of the formula, as in the FaceNet paper."""


class BatchLoss(NamedTuple):
    """Scalars: the loss, and the numbers of active, chosen and valid triplets."""

    loss: Any
    active: Any
    chosen: Any
    valid: Any


def triplet_loss(anchors: Any, positives: Any, negatives: Any, margin: float = MARGIN) -> Any:
    """Formula (3) over n given triplets: three arrays of shape (n, d), any float type.

    d is 128 for FaceNet. Returns a scalar of the same type: a sum, not a mean.
    """
    import tensorflow as tf

    near = tf.reduce_sum(tf.square(anchors - positives), axis=-1)
    far = tf.reduce_sum(tf.square(anchors - negatives), axis=-1)
    return tf.reduce_sum(tf.maximum(near - far + margin, 0))


def batch_loss(
    encodings: Any, people: Any, margin: float = MARGIN, mining: Mining = "semi-hard"
) -> BatchLoss:
    """Formula (3) over the triplets that `mining` chooses among all valid ones of a batch.

    encodings: shape (n, d), any float type; people: shape (n,), integers. A triplet (A, P, N) is
    valid when A and P are different rows of one person and N is a row of another. All n^3 are
    evaluated in one pass, in memory for n^3 + n^2 * d numbers. The choice of triplets has no part
    in the gradient.
    """
    import tensorflow as tf

    distances = tf.reduce_sum(tf.square(encodings[:, None] - encodings[None]), axis=-1)
    costs = distances[:, :, None] - distances[:, None, :] + margin  # [anchor, positive, negative]
    same = people[:, None] == people[None]
    positive = tf.logical_and(same, tf.logical_not(tf.eye(tf.shape(people)[0], dtype=tf.bool)))
    negative = tf.logical_not(same)
    valid = tf.logical_and(positive[:, :, None], negative[:, None, :])
    chosen = _CHOICES[mining](tf.stop_gradient(distances), positive, negative)
    hinged = tf.where(chosen, tf.maximum(costs, 0), tf.zeros_like(costs))
    return BatchLoss(tf.reduce_sum(hinged), *map(_count, (hinged > 0, chosen, valid)))


def _all(distances: Any, positive: Any, negative: Any) -> Any:
    """Every valid triplet."""
    import tensorflow as tf

    return tf.logical_and(positive[:, :, None], negative[:, None, :])


def _hard(distances: Any, positive: Any, negative: Any) -> Any:
    """For each anchor its farthest positive and its nearest negative (the first of equals).

    Hermans, Beyer and Leibe 2017, "In Defense of the Triplet Loss for Person Re-Identification",
    equation (5).
    """
    import tensorflow as tf

    farthest = _first(tf.where(positive, -distances, distances.dtype.max), positive)
    nearest = _first(tf.where(negative, distances, distances.dtype.max), negative)
    return tf.logical_and(farthest[:, :, None], nearest[:, None, :])


def _semi_hard(distances: Any, positive: Any, negative: Any) -> Any:
    """For each anchor and positive the nearest negative that is farther than the positive.

    The FaceNet paper, section 3.2. A pair farther apart than every negative is left out: its label
    is often wrong, and early in training such triplets collapse the encoding.
    """
    import tensorflow as tf

    farther = distances[:, None, :] > distances[:, :, None]
    open_to = tf.logical_and(tf.logical_and(positive[:, :, None], negative[:, None, :]), farther)
    candidates = tf.where(open_to, distances[:, None, :], distances.dtype.max)
    return _first(candidates, open_to)


_CHOICES = {"semi-hard": _semi_hard, "hard": _hard, "all": _all}


def _first(values: Any, allowed: Any) -> Any:
    """True at the least allowed value of each row (the last axis), the first of equals."""
    import tensorflow as tf

    least = tf.one_hot(
        tf.argmin(values, axis=-1), tf.shape(values)[-1], on_value=True, off_value=False
    )
    return tf.logical_and(least, allowed)


def _count(mask: Any) -> Any:
    import tensorflow as tf

    return tf.math.count_nonzero(mask)
