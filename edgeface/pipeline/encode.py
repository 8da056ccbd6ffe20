"""Encode: turns an aligned crop into an embedding of unit length.

Takes in a crop (uint8, shape (size, size, 3), BGR) and hands on an `Embedding`. Standardization and
input quantization are one table of 256 entries, so every pixel is touched once. With flip
augmentation the crop and its mirror image are encoded and the mean is taken: twice the time for
fewer errors. It never decides anything, and refuses to hand on numbers that are not finite.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.errors import ModelError
from edgeface.pipeline.cohort import Cohort, refuse_lenient, unit
from edgeface.pipeline.model_file import InputSpec, Model
from edgeface.pipeline.pictures import Picture
from edgeface.pipeline.runtime import Network, Tensor, open_network

Embedding = NDArray[np.float32]
"""Shape (n,), unit length; the score of two embeddings is their dot product, the cosine of the
angle between them: 1 - ||a - b||^2 / 2 for the squared distance of the FaceNet paper."""


class Encoder:
    """An open embedding network with its buffers. One thread at a time."""

    def __init__(self, model: Model, threads: int | None = None) -> None:
        self._spec = model.description.input
        self._cohort = Cohort(model.description)
        if not model.shipped:
            from edgeface.pipeline.trial import try_out  # the shipped one need not pay for it

            refuse_lenient(model.description)
            try_out(model)
        self._network = open_network(model.file or model.path, threads)
        _check_shapes(self._network, model)
        self._values = np.arange(256, dtype=np.float64)
        self._swapped: Picture = np.empty((self._spec.size, self._spec.size, 3), np.uint8)
        self._mirrored: Picture = np.empty_like(self._swapped)

    @property
    def runtime(self) -> str:
        """Name of the TFLite runtime at work."""
        return self._network.runtime

    def encode(self, crop: Picture, *, flip_augmented: bool = False) -> Embedding:
        """The embedding of one aligned crop (uint8 BGR, shape (size, size, 3)); a new array.

        Raises FaceError when the crop gives no usable direction.
        """
        return self.measure(crop, flip_augmented=flip_augmented)[0]

    def measure(self, crop: Picture, *, flip_augmented: bool = False) -> tuple[Embedding, float]:
        """As `encode`, with the length of the network's output before it became 1 (the mean of both
        with `flip_augmented`): it is short for what is no upright face."""
        if self._spec.colour == "rgb":
            crop = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB, dst=self._swapped)  # type: ignore[assignment]
        table = _input_table(crop, self._spec, self._network.inputs[0], self._values)
        raw, length = self._run(crop, table)
        if flip_augmented:
            cv2.flip(crop, 1, dst=self._mirrored)
            mirrored, other = self._run(self._mirrored, table)
            raw, length = unit(raw + mirrored), (length + other) / 2
        embedding: Embedding = self._cohort.normalize(raw)[0]
        return embedding, length

    def _run(self, crop: Picture, table: NDArray[Any]) -> tuple[NDArray[np.float32], float]:
        """The network's output at unit length, shape (1, n), and its length before."""
        cv2.LUT(crop, table, dst=self._network.input_view()[0])
        self._network.run()
        output = self._network.outputs[0]
        raw = self._network.output_view(0).astype(np.float32)
        if output.scale:
            raw -= output.zero_point
        return unit(raw), float(np.linalg.norm(raw)) * (output.scale or 1.0)


def _input_table(
    crop: Picture, spec: InputSpec, tensor: Tensor, values: NDArray[np.float64]
) -> NDArray[Any]:
    """What each of the 256 pixel values becomes in the network's input, in its dtype."""
    if spec.normalization == "per-image":
        means, deviations = cv2.meanStdDev(crop)
        mean = float(means.mean())
        variance = float((deviations**2 + means**2).mean()) - mean**2
        offset, scale = mean, max(variance, 1 / crop.size) ** 0.5
    else:
        offset, scale = spec.offset, spec.scale
    table = (values - offset) / scale
    if tensor.scale:
        limits = np.iinfo(tensor.dtype)
        table = np.rint(table / tensor.scale + tensor.zero_point).clip(limits.min, limits.max)
    entries: NDArray[Any] = table.astype(tensor.dtype).reshape(1, 256)
    return entries


def _check_shapes(network: Network, model: Model) -> None:
    wanted = model.description
    size, count = wanted.input.size, wanted.embedding.size
    if network.inputs[0].shape != (1, size, size, 3) or network.outputs[0].shape != (1, count):
        raise ModelError(
            f"the model file {model.path} maps {network.inputs[0].shape} to "
            f"{network.outputs[0].shape}, but describes a {size}x{size} picture and {count} "
            "numbers; convert it again"
        )
