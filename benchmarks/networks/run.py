"""Converts generated networks of every kind and container: converted, refused or wrong, by kind.

    nice python -m benchmarks.networks.run [--kinds N] [--json FILE]

Each network is saved, read back by `load_source` and quantized, and its output for raw pixels is
compared with what its framework gives: float32 wrong below a cosine of 0.9999, int8 below 0.98 (the
limit at which convert-model writes nothing). A refusal counts as refused whatever it says.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.networks.kinds import BODIES, PREPROCESSED, SIDE, build
from edgeface.demo.decisions import PORTRAITS
from edgeface.errors import EdgeFaceError
from edgeface.pipeline.pictures import read_picture
from edgeface_tools.people.faces import standardize
from edgeface_tools.quantize.calibrate import calibrate
from edgeface_tools.quantize.quantize import quantize
from edgeface_tools.source.load import Loaded, load_source
from tests.helpers.interpreters import cosines, run

Crops = NDArray[np.uint8]
Save = Callable[[Any, Path], Path]


def _keras(model: Any, folder: Path) -> Path:
    model.save(folder / "model.keras")
    return folder / "model.keras"


def _h5(model: Any, folder: Path) -> Path:
    model.save(folder / "model.h5")
    return folder / "model.h5"


def _exported(model: Any, folder: Path) -> Path:
    model.export(folder / "model", verbose=False)
    return folder / "model"


def _saved(model: Any, folder: Path) -> Path:
    model.save(folder / "model", save_format="tf")
    return folder / "model"


def _served(model: Any, folder: Path) -> Path:
    model.export(folder / "model" / "1", verbose=False)
    return folder / "model"


def _frozen(model: Any, folder: Path) -> Path:
    """As TensorFlow 1 froze graphs."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    shape = (None, SIDE, SIDE, 3)
    function = tf.function(lambda x: tf.identity(model(x, training=False), name="embeddings"))
    frozen = convert_variables_to_constants_v2(
        function.get_concrete_function(tf.TensorSpec(shape, tf.float32))
    )
    path = folder / "model.pb"
    path.write_bytes(frozen.graph.as_graph_def().SerializeToString())
    return path


def cases() -> Iterator[tuple[str, str, str, Save]]:
    """Kind, framework, container and how to save it."""
    inside = [*PREPROCESSED, "whole numbers"]
    for kind in (*BODIES, *inside):
        yield kind, "keras", ".keras", _keras
        yield kind, "keras", ".h5", _h5
        yield kind, "keras", "SavedModel", _exported
        if kind in ("hard sigmoid", "whole numbers", "crop and rescaling"):
            continue
        yield kind, "tf_keras", ".keras", _keras
        yield kind, "tf_keras", ".h5", _h5
    for kind in ("relu", "prelu", "dropout", "norm after dense", "nested", "rescaling"):
        yield kind, "tf_keras", "SavedModel", _saved
    for kind in ("relu", "leaky relu", "residual", "swish", "rescaling", "squeeze and excite"):
        yield kind, "keras", "frozen .pb", _frozen
    for kind in ("relu", "residual"):
        yield kind, "keras", "MODEL/1/", _served


def judge(model: Any, path: Path, crops: Crops, *, inside: bool) -> tuple[str, str]:
    """What becomes of a saved model: the verdict, and figures or the reason."""
    try:
        loaded = load_source(str(path), normalization=None if inside else "-1..1")
    except EdgeFaceError as error:
        return "refused", str(error)
    pixels = crops[..., ::-1]
    taken = pixels if inside else (pixels - 127.5) / 127.5
    dtype = getattr(model.inputs[0].dtype, "name", model.inputs[0].dtype)
    wanted = np.asarray(model(taken.astype(dtype), training=False), np.float64)
    exact = _cosine(loaded, loaded.network, crops, wanted)
    calibration = calibrate(loaded.network, crops, loaded.input, "portraits")
    rounded = _cosine(loaded, quantize(loaded.network, "int8", calibration), crops, wanted)
    figures = f"float32 {exact:.6f}, int8 {rounded:.4f}"
    if exact < 0.9999:
        return "wrong", figures
    return ("converted" if rounded >= 0.98 else "int8 refused"), figures


def _cosine(loaded: Loaded, network: bytes, crops: Crops, wanted: NDArray[np.float64]) -> float:
    found = run(network, *(standardize(crop, loaded.input)[0] for crop in crops))
    return float(np.median(cosines(found, wanted)))


def portraits() -> Crops:
    """The shipped portraits, small: pictures with the statistics of faces."""
    frames = [read_picture(path) for path in sorted(PORTRAITS.glob("*.jpg"))]
    small = [cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack([turned for one in small for turned in (one, one[::-1])]).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="Try only every n-th network.")
    parser.add_argument("--json", type=Path, help="Write each network's verdict into this file.")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras
    import tf_keras

    frameworks = {"keras": keras, "tf_keras": tf_keras}
    crops, rows = portraits(), []
    inside = {*PREPROCESSED, "whole numbers"}
    for number, (kind, framework, container, save) in enumerate([*cases()][:: options.every]):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            model = build(frameworks[framework], kind, number)
            try:
                path = save(model, Path(scratch))
            except Exception as error:
                print(f"{kind} {framework} {container}: cannot be saved ({error})", flush=True)
                continue
            verdict, why = judge(model, path, crops, inside=kind in inside)
        frameworks[framework].backend.clear_session()
        rows.append((kind, framework, container, verdict, why))
        seconds = time.monotonic() - started
        print(f"{verdict:<12} {kind}, {framework} {container}: {why} ({seconds:.1f} s)", flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1))
    print()
    for kind in dict.fromkeys(row[0] for row in rows):
        counts = Counter(row[3] for row in rows if row[0] == kind)
        print(f"{kind:<20} " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    total = Counter(row[3] for row in rows)
    print(f"\n{len(rows)} networks: " + ", ".join(f"{n} {what}" for what, n in total.items()))


if __name__ == "__main__":
    main()
