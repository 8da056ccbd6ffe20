"""Runs the frozen part of a network once over every picture, and over imitated copies of it.

Takes in the frozen part, aligned crops and a camera, hands on the input of the trained part for
every epoch: float16 rows, picture after picture, each as it was taken and then its copies. Rows are
cached in pieces, so that a killed run loses only a few seconds of work. LiteRT computes them, as
fast as the runtime does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from edgeface.errors import ConfigError
from edgeface.pipeline.model_file import InputSpec
from edgeface.pipeline.runtime import default_threads
from edgeface_tools.network.graph import Graph
from edgeface_tools.network.to_tflite import float_tflite
from edgeface_tools.people.faces import Crops, standardize
from edgeface_tools.train.arrays import load_arrays, save_arrays
from edgeface_tools.train.camera import Camera, imitate
from edgeface_tools.train.head import Inputs

_PICTURES_AT_ONCE = 32


@dataclass(frozen=True)
class Copies:
    """How many copies of each picture are made, and by which camera."""

    camera: Camera
    count: int
    seed: int

    @property
    def rows(self) -> int:
        """Rows of one picture: itself and its copies."""
        return self.count + 1


class Frozen:
    """The frozen part, opened."""

    def __init__(self, network: Graph, spec: InputSpec) -> None:
        content = float_tflite(network)
        self._spec = spec
        self._digest = hashlib.sha256(content + msgspec.json.encode(spec)).digest()
        self._interpreter = Interpreter(model_content=content, num_threads=default_threads())
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._shape = network.shapes[network.output_name]

    def inputs(
        self, crops: Crops, copies: Copies, cache: Path, progress: Callable[[], None]
    ) -> Inputs:
        """The rows of all crops, shape (crops * copies.rows, ...); `progress` after each crop."""
        rows = np.empty((len(crops) * copies.rows, *self._shape), np.float16)
        settings = msgspec.json.encode((copies.camera, copies.count, copies.seed))
        for first in range(0, len(crops), _PICTURES_AT_ONCE):
            piece = crops[first : first + _PICTURES_AT_ONCE]
            place = slice(first * copies.rows, (first + len(piece)) * copies.rows)
            path = cache / f"{first:06d}.safetensors"
            key = hashlib.sha256(self._digest + settings + piece.tobytes()).hexdigest()
            kept = load_arrays(path, key)
            if kept is not None:
                rows[place] = kept["rows"]
            else:
                rows[place] = self._compute(piece, first, copies)
                save_arrays(path, key, {"rows": rows[place]})
            for _ in piece:
                progress()
        return rows

    def _compute(self, crops: Crops, first: int, copies: Copies) -> Inputs:
        found = []
        for number, crop in enumerate(crops, first):
            found.append(self._run(crop))
            for copy in range(copies.count):
                random = np.random.default_rng([copies.seed, 2, number, copy])
                found.append(self._run(imitate(crop, copies.camera, random)))
        rows = np.stack(found).astype(np.float16)
        if not np.isfinite(rows).all():
            raise ConfigError(
                "the frozen part's output does not fit 16 bits; split the network elsewhere with "
                "--freeze-through"
            )
        return rows

    def _run(self, crop: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._input, standardize(crop, self._spec))
        self._interpreter.invoke()
        row: np.ndarray = self._interpreter.get_tensor(self._output)[0]
        return row
