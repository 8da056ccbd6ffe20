"""How much of what was learned to keep: the weights between the base network's and the tuned ones.

Takes in two sets of weights and a way to judge one, hands on the best mix. Fine-tuning moves a
network away from everybody it knew; part of the way back loses little of what was learned. It needs
no further training, and it never hands on a mix that is worse than the tuned weights.

Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT), section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from edgeface_tools.arrays import Arrays

SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Mix(msgspec.Struct, frozen=True):
    """Weights base + share * (tuned - base), and the TAR they come to.

    tar, general: on the held-out people and on the general set; None where there is none.
    """

    share: float
    tar: float
    general: float | None


def mixed(base: Arrays, tuned: Arrays, share: float) -> Arrays:
    """The weights at `share` of the way from `base` to `tuned`, each in its own shape and dtype."""
    return {
        name: (array + share * (tuned[name] - array)).astype(array.dtype)
        for name, array in base.items()
    }


def best_mix(
    base: Arrays,
    tuned: Mix,
    tuned_weights: Arrays,
    general: float | None,
    judge: Callable[[Arrays, float], Mix],
    shares: Sequence[float] = SHARES,
) -> Mix:
    """The mix with the highest TAR, of equal ones the nearest to the base.

    `tuned` is what the tuned weights themselves (share 1) come to; they stay where no mix is as
    good. With a general set, only a mix that loses nothing on it (`general` is the base network's
    TAR there) takes their place.
    """
    best = tuned
    for share in sorted(shares, reverse=True):
        mix = judge(mixed(base, tuned_weights, share), share)
        fell = general is not None and (mix.general is None or mix.general < general)
        if mix.tar >= best.tar and not fell:
            best = mix
    return best
