"""The one place that opens TFLite interpreters, whichever runtime is installed.

Takes in a model's file, hands on a `Network` that is ready to run. LiteRT is preferred,
tflite-runtime is used where LiteRT is not installed; EDGEFACE_RUNTIME=litert|tflite-runtime
forces one. Nothing else in the package imports either, and nothing here knows about faces.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeface.errors import ConfigError, ModelError, RuntimeMissing
from edgeface.pipeline.network_file import NetworkFile
from edgeface.system.chatter import overheard

RUNTIMES = {"litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}


@dataclass(frozen=True)
class Tensor:
    """An input or output of a network; `scale` is 0 for a float tensor."""

    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int


class Network:
    """An open network: fill `input_view()`, call `run()`, read `output_view(i)`.

    Views point into the interpreter's own memory, so nothing is copied; they must be let go
    before the next `run()`.
    """

    def __init__(self, interpreter: Any, runtime: str) -> None:
        self._interpreter = interpreter
        self.runtime = runtime
        self.inputs = [_tensor(d) for d in interpreter.get_input_details()]
        self.outputs = [_tensor(d) for d in interpreter.get_output_details()]
        self._input_view: Callable[[], NDArray[Any]] = interpreter.tensor(self.inputs[0].index)
        self._output_views: list[Callable[[], NDArray[Any]]] = [
            interpreter.tensor(t.index) for t in self.outputs
        ]

    def input_view(self) -> NDArray[Any]:
        """The first input's memory, writable, in its own shape and dtype."""
        return self._input_view()

    def run(self) -> None:
        """Compute the outputs from what the input holds now."""
        self._interpreter.invoke()

    def output_view(self, position: int) -> NDArray[Any]:
        """The memory of the output at `position`, in its own shape and dtype."""
        return self._output_views[position]()


def _tensor(details: dict[str, Any]) -> Tensor:
    scale, zero_point = details["quantization"]
    shape = tuple(int(n) for n in details["shape"])
    return Tensor(details["index"], shape, np.dtype(details["dtype"]), scale, zero_point)


def installed_runtimes() -> list[str]:
    """Names of the runtimes that can be imported here, the preferred one first."""
    return [name for name, package in RUNTIMES.items() if find_spec(package) is not None]


def choose_runtime() -> str:
    """The runtime to use: EDGEFACE_RUNTIME if set, else the first one installed.

    Raises ConfigError for an unknown name and RuntimeMissing when it is not installed.
    """
    wanted = os.environ.get("EDGEFACE_RUNTIME")
    if wanted and wanted not in RUNTIMES:
        raise ConfigError(
            f"EDGEFACE_RUNTIME={wanted} is not a runtime; use one of: {', '.join(RUNTIMES)}"
        )
    for name in [wanted] if wanted else RUNTIMES:
        if find_spec(RUNTIMES[name]) is not None:
            return name
    if sys.maxsize <= 2**32 and not wanted:
        raise RuntimeMissing(
            "there is no LiteRT for this 32-bit system; write Raspberry Pi OS (64-bit) to the SD "
            "card, which a Pi 3, 4, 5 and Zero 2 W can run"
        )
    raise RuntimeMissing(
        f"{wanted or 'a TFLite interpreter'} is not installed; run: pip install "
        + ("tflite-runtime" if wanted == "tflite-runtime" else "ai-edge-litert")
    )


def default_threads() -> int:
    """Threads for one inference: the cores this process may use, at most four."""
    return min(4, len(os.sched_getaffinity(0)))


def open_network(file: Path | NetworkFile, threads: int | None = None) -> Network:
    """Open a .tflite file (mapped, not read) and allocate its tensors.

    Raises ModelError when the file is not a network that the installed runtime can run, and when
    somebody has written into it, or replaced it, since it was opened and checked.
    """
    try:
        file = NetworkFile(file) if isinstance(file, Path) else file
    except OSError as error:
        raise ModelError(f"cannot open the model file {file}: {error.strerror}") from None
    runtime = choose_runtime()
    interpreter_module = import_module(RUNTIMES[runtime] + ".interpreter")
    try:
        with overheard():  # "INFO: Created ... delegate"
            interpreter = interpreter_module.Interpreter(
                model_path=file.place, num_threads=threads or default_threads()
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0].replace(file.place, str(file.path))
        raise ModelError(f"{runtime} cannot run the model file {file.path}: {reason}") from None
    if not file.unchanged:
        raise ModelError(
            f"the model file {file.path} was changed after it was checked; start again, and see "
            "who may write to it"
        )
    _release_pages(file)
    return Network(interpreter, runtime)


def _release_pages(file: NetworkFile) -> None:
    """Release the mapped file's pages: the kernels keep their own copy of the weights.

    A page that is still needed is read from the file again. This saves the file's size in resident
    memory, 23 of 125 MB with the shipped network; where it fails, nothing else is affected.
    """
    import ctypes  # NumPy has imported it already
    import mmap

    try:
        maps = Path("/proc/self/maps").read_text(errors="surrogateescape")
        libc, mapped_as = ctypes.CDLL(None), file.mapped_as
    except OSError:
        return
    for line in maps.splitlines():
        span, rights, *_, name = line.split(maxsplit=5)
        if name == mapped_as and rights == "r--s":
            start, end = (int(edge, 16) for edge in span.split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)
