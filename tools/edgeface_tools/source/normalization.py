"""How a network wants its pixels: as the user says, and as the network itself shows.

Takes in a float flatbuffer and what was said on the command line, hands on the network with an
`InputSpec` that the runtime can follow. Scaling that the network brings along becomes the
description's, or stays inside and the description says raw pixels. Where that leaves a doubt it
refuses: a network that is given its pixels in the wrong range still gives numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from edgeface.errors import ConfigError, ModelError
from edgeface.pipeline.model_file import InputSpec
from edgeface_tools.tflite.preprocessing import Leading, leading, with_leading, without_leading

Colour = Literal["bgr", "rgb"]
NORMALIZATIONS: dict[str, tuple[float, float] | None] = {
    "per-image": None,
    "0..1": (0.0, 255.0),
    "-1..1": (127.5, 127.5),
    "raw": (0.0, 1.0),
}
"""By name: (offset, scale) of a fixed normalization."""

FORM = "per-image, 0..1, -1..1, raw, or MEAN/STD (one number each, or three: 124,116,104/58,57,57)"
# A step that makes of 255 levels a range like this, or moves zero that far, is meant for pixels.
_LEAST_REACH, _MOST_REACH, _FAR_SHIFT = 0.25, 32.0, 16.0


@dataclass(frozen=True)
class Wanted:
    """A normalization that was asked for; None for per image."""

    said: str
    fixed: tuple[tuple[float, ...], tuple[float, ...]] | None
    """Mean and deviation, one or three numbers each."""

    @property
    def raw(self) -> bool:
        return self.fixed == ((0.0,), (1.0,))


@dataclass(frozen=True)
class Takes:
    """The pixels that a source itself takes: 0 to 255 where `mean` is 0 and `deviation` 1."""

    colour: Colour
    per_image: bool = False
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)

    @staticmethod
    def of(spec: InputSpec) -> Takes:
        """The same as a description says it."""
        if spec.normalization == "per-image":
            return Takes(spec.colour, per_image=True)
        return Takes(spec.colour, mean=(spec.offset,), deviation=(spec.scale,))


@dataclass(frozen=True)
class Prepared:
    """A network, the input to describe, and what the source itself takes."""

    network: bytes
    input: InputSpec
    takes: Takes
    notes: tuple[str, ...] = ()
    declared: bool = False
    """Whether the network itself shows what pixels it takes."""


def wanted_normalization(said: str) -> Wanted:
    """The normalization of that name, or of the form MEAN/STD; ConfigError for another."""
    if said in NORMALIZATIONS:
        fixed = NORMALIZATIONS[said]
        return Wanted(said, fixed and ((fixed[0],), (fixed[1],)))
    try:
        mean, deviation = (tuple(float(n) for n in part.split(",")) for part in said.split("/"))
    except ValueError:
        raise ConfigError(f"{said!r} is no normalization; give {FORM}") from None
    lengths = {len(mean), len(deviation)}
    numbers = np.array([*mean, *deviation])
    if not lengths <= {1, 3} or not np.isfinite(numbers).all() or 0 in deviation:
        raise ConfigError(f"{said!r} is no normalization; give {FORM}")
    return Wanted(said, (mean, deviation))


def trained_with(spec: InputSpec, colour: Colour | None, normalization: str | None) -> InputSpec:
    """An input with another colour order or normalization, where one is given.

    ConfigError for one that differs by channel, which a description cannot hold.
    """
    if colour is not None:
        spec = msgspec.structs.replace(spec, colour=colour)
    if normalization is None:
        return spec
    wanted = wanted_normalization(normalization)
    if wanted.fixed is None:
        return InputSpec(spec.size, spec.colour, "per-image")
    if any(len(set(part)) != 1 for part in wanted.fixed):
        raise ConfigError(
            f"{normalization} differs by channel, which only a conversion can put into a network; "
            "give the network that this file was converted from"
        )
    return _fixed(spec, wanted.fixed[0][0], wanted.fixed[1][0])


def ready(
    network: bytes,
    spec: InputSpec,
    wanted: Wanted | None,
    place: Path,
    *,
    swapped: bool = False,
    pixels: bool = False,
    first: Leading | None = None,
) -> Prepared:
    """A network with the input that the runtime is to be told of.

    `spec` is what holds where nothing is said; `swapped` says that the network's channels are in
    the opposite order by now; `pixels` that the source itself takes whole numbers of 0 to 255;
    `first` what the source does to its pixels, where the flatbuffer may not show it.
    """
    if pixels:
        if wanted is not None and not wanted.raw:
            raise ConfigError(
                f"the network in {place} takes whole pixel values, so --normalization "
                f"{wanted.said} cannot be right; leave it out"
            )
        wanted = wanted_normalization("raw")
    shown = leading(network)
    found = first or shown
    if found is not None and _meant_for_pixels(found):
        if wanted is not None and not wanted.raw:
            raise ConfigError(
                f"the network in {place} scales raw pixels itself ({_words(found)}), so "
                f"--normalization {wanted.said} would do it twice; leave it out"
            )
        return _own_scaling(network, spec, found, shown)
    if found is not None and wanted is None and not found.nothing:
        raise ModelError(
            f"the network in {place} begins with {_words(found)}, which does not show what range "
            f"it takes; say it with --normalization: {FORM}"
        )
    if wanted is None:
        return Prepared(network, spec, Takes.of(spec))
    if wanted.fixed is None:
        spec = InputSpec(spec.size, spec.colour, "per-image")
        return Prepared(network, spec, Takes.of(spec))
    mean, deviation = (np.broadcast_to(np.array(part, float), 3) for part in wanted.fixed)
    if len(set(mean)) == len(set(deviation)) == 1:
        spec = _fixed(spec, float(mean[0]), float(deviation[0]))
        return Prepared(network, spec, Takes.of(spec))
    takes = Takes(spec.colour, mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))
    order = slice(None, None, -1 if swapped else 1)
    note = f"the mean and deviation of each channel ({wanted.said}) were put into the network"
    return Prepared(
        with_leading(network, mean[order], deviation[order]), _fixed(spec, 0.0, 1.0), takes, (note,)
    )


def _own_scaling(
    network: bytes, spec: InputSpec, found: Leading, shown: Leading | None
) -> Prepared:
    """The network's scaling of raw pixels as the description's, or left inside."""
    raw = _fixed(spec, 0.0, 1.0)
    if shown is None or not shown.movable or not _meant_for_pixels(shown):
        note = f"the network scales raw pixels itself ({_words(found)})"
        return Prepared(network, raw, Takes.of(raw), (note,), declared=True)
    factor, shift = float(shown.factor[0]), float(shown.shift[0])
    moved = _fixed(spec, _short(-shift / factor), _short(1 / factor))
    note = f"the network scales raw pixels itself ({_words(found)}): this is described now"
    return Prepared(without_leading(network), moved, Takes.of(raw), (note,), declared=True)


def _meant_for_pixels(found: Leading) -> bool:
    reach = 255 * np.abs(found.factor)
    fits = bool((reach >= _LEAST_REACH).all() and (reach <= _MOST_REACH).all())
    return fits or bool((np.abs(found.shift) > _FAR_SHIFT).any())


def _short(value: float) -> float:
    """Without the digits that only float32 put there: 127.5 instead of 127.499992."""
    return float(f"{value:.6g}") + 0.0


def _words(found: Leading) -> str:
    def numbers(values: np.ndarray) -> str:
        return ", ".join(f"{v:.4g}" for v in (values[:1] if np.ptp(values) == 0 else values))

    return f"x * {numbers(found.factor)} + {numbers(found.shift)}"


def _fixed(spec: InputSpec, offset: float, scale: float) -> InputSpec:
    return InputSpec(spec.size, spec.colour, "fixed", offset, scale)
