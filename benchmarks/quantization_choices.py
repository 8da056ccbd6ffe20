"""Compares choices of quantization: the table in docs/convert-model.md.

    python benchmarks/quantization_choices.py LFW_VIEW1_FOLDER

Calibrates FaceNet on the pictures that come with it, with each way of choosing ranges and with and
without bias correction, and compares with float on faces of pairsDevTrain.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgeface.bench.evaluate import read_pairs
from edgeface_tools.convert import TEMPLATE, calibration_faces
from edgeface_tools.people.faces import cut_faces, standardize
from edgeface_tools.quantize import calibrate as calibrating
from edgeface_tools.quantize.quantize import quantize
from edgeface_tools.source.load import load_source
from tests.helpers.interpreters import cosines, run

FACES = 300


def percentile(share: float) -> Callable[[Any], tuple[float, float]]:
    """The range that holds all values but a share at each end."""

    def choose(histogram: Any) -> tuple[float, float]:
        counts, reach = histogram._counts, histogram._reach
        edges = np.linspace(-reach, reach, len(counts) + 1)
        inside = np.cumsum(counts) / counts.sum()
        low, high = edges[np.searchsorted(inside, share)], edges[np.searchsorted(inside, 1 - share)]
        return min(0.0, float(low)), max(0.0, float(high))

    return choose


def main(view1: Path) -> None:
    """Print the table."""
    loaded = load_source("facenet")
    faces = calibration_faces(loaded, None)
    assert faces is not None
    pairs = read_pairs(view1 / "pairsDevTrain.txt")
    named = sorted({picture for pair in pairs for picture in (pair.first, pair.second)})
    pictures = [view1 / "images" / name for name in named[:: len(named) // FACES]]
    crops = cut_faces(pictures, TEMPLATE, loaded.input.size).crops
    inputs = [standardize(crop, loaded.input)[0] for crop in crops]
    wanted = run(loaded.network, *inputs)
    own = calibrating._Histogram.best_range
    ranges: dict[str, Callable[[Any], tuple[float, float]]] = {
        "extremes": lambda histogram: (histogram._least, histogram._greatest),
        "99.99 % of the values": percentile(5e-5),
        "least cube of the error": own,
    }
    print("| ranges | bias correction | median | 1st percentile |\n| --- | --- | --- | --- |")
    for name, choose in ranges.items():
        calibrating._Histogram.best_range = choose  # type: ignore[method-assign, assignment]
        calibration = calibrating.calibrate(loaded.network, faces.crops, loaded.input, "")
        for corrected in (False, True):
            seen = calibration if corrected else msgspec.structs.replace(calibration, means={})
            near = cosines(run(quantize(loaded.network, "int8", seen), *inputs), wanted)
            first = np.percentile(near, 1)
            print(
                f"| {name} | {'yes' if corrected else 'no'} | {np.median(near):.5f} | {first:.5f} |"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
