"""Bench of the start: a whole process, and opening the network in two ways.

Takes in a model, hands on percentiles of milliseconds, each run in a new process. It keeps nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edgeface.bench.figures import Latency, percentiles
from edgeface.demo.decisions import PORTRAITS
from edgeface.pipeline.model_file import Model

_COLD = """
import sys, time
started = time.perf_counter()
from edgeface.pipeline.pipeline import Timings
from edgeface.verifier import FaceVerifier
imported = time.perf_counter()
verifier = FaceVerifier(sys.argv[1], sys.argv[2])
verifier.pipeline
loaded = time.perf_counter()
timings = Timings()
verifier.verify("a", sys.argv[3], timings=timings)
done = time.perf_counter()
inference = timings.detect + timings.encode
print(1e3 * (imported - started), 1e3 * (loaded - imported), inference, 1e3 * (done - loaded))
"""


def measure_cold_start(model: Model, runs: int) -> dict[str, Latency]:
    """From process start to the first decision, each time in a new process, in milliseconds."""
    parts = ("process", "import", "load", "first_inference", "first_decision")
    samples: dict[str, list[float]] = {part: [] for part in parts}
    with tempfile.TemporaryDirectory() as folder:
        gallery = str(Path(folder) / "gallery.safetensors")
        picture = PORTRAITS / "collins.jpg"
        from edgeface.verifier import FaceVerifier

        FaceVerifier(gallery, model.path).enroll("a", [picture])
        for _ in range(runs):
            started = time.perf_counter()
            out = subprocess.run(  # noqa: S603 (our own interpreter, our own script)
                [sys.executable, "-c", _COLD, gallery, str(model.path), str(picture)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            samples["process"].append(1e3 * (time.perf_counter() - started))
            for part, value in zip(parts[1:], out.split(), strict=True):
                samples[part].append(float(value))
    return {part: percentiles(values) for part, values in samples.items()}


_LOAD = """
import sys, time
started = time.perf_counter()
if sys.argv[2] == "interpreter":
    from edgeface.pipeline.runtime import open_network
    from pathlib import Path
    import ai_edge_litert.interpreter
    imported = time.perf_counter()
    open_network(Path(sys.argv[1]))
else:
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.cpu_options import CpuOptions
    from ai_edge_litert.options import Options
    imported = time.perf_counter()
    cpu = CpuOptions(xnnpack_weight_cache_path=sys.argv[3])
    CompiledModel.from_file(sys.argv[1], options=Options(cpu_options=cpu))
print(1e3 * (imported - started), 1e3 * (time.perf_counter() - imported))
"""


def measure_load(model: Model, runs: int) -> dict[str, dict[str, Latency]] | None:
    """Time to open the network in a new process, as we do and with XNNPACK's weight cache.

    Only LiteRT's CompiledModel interface has the cache; None where that is not installed.
    """
    samples: dict[str, list[list[float]]] = {"interpreter": [], "weight_cache": []}
    with tempfile.TemporaryDirectory() as folder:
        cache = str(Path(folder) / "weights")
        for run in range(runs + 1):
            for way, values in samples.items():
                done = subprocess.run(  # noqa: S603 (our own interpreter, our own script)
                    [sys.executable, "-c", _LOAD, str(model.path), way, cache],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    return None
                if run:  # the first fills the cache
                    values.append([float(value) for value in done.stdout.split()[-2:]])
    return {
        way: {
            "import": percentiles([value for value, _ in values]),
            "open": percentiles([value for _, value in values]),
        }
        for way, values in samples.items()
    }
