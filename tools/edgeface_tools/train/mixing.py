"""Mixes the base network's weights with the tuned ones.

Takes in two sets of weights and a function that judges one, hands on the best mix. Fine-tuning
makes a network worse on other people; going part of the way back loses little of what was learned,
and may lose so little on other people that it can be used where the tuned weights cannot.

Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT), section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from edgeface_tools.train.arrays import Arrays

SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Mix(msgspec.Struct, frozen=True):
    """The weights base + share * (tuned - base), and the TAR that they reach.

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
    tuned: Arrays,
    before: Mix,
    forget: float,
    judge: Callable[[Arrays, float], Mix],
    shares: Sequence[float] = SHARES,
) -> Mix | None:
    """The mix with the highest TAR, of equal ones the nearest to the base; None if none is better.

    `before` has the rates of the base network itself (share 0). With a general set, a mix whose TAR
    there is more than `forget` below that of `before` is never taken.
    """
    best = before
    for share in sorted(shares):
        mix = judge(mixed(base, tuned, share), share)
        fell = mix.general is not None and mix.general < (before.general or 0.0) - forget
        if mix.tar > best.tar and not fell:
            best = mix
    return None if best is before else best
