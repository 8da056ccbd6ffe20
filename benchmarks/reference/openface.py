"""NN4-small2 in plain NumPy, channels first, straight from OpenFace's CSV files.

An independent check of the converted network: it shares no code with the tool, keeps the original
layout (channels, height, width) and computes one inception block after the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Outputs and inputs by convolution, as the tutorial lists them; the kernel's side is last.
CONVOLUTIONS = {
    "conv1": (64, 3, 7), "conv2": (64, 64, 1), "conv3": (192, 64, 3),
    "inception_3a_1x1_conv": (64, 192, 1), "inception_3a_pool_conv": (32, 192, 1),
    "inception_3a_5x5_conv1": (16, 192, 1), "inception_3a_5x5_conv2": (32, 16, 5),
    "inception_3a_3x3_conv1": (96, 192, 1), "inception_3a_3x3_conv2": (128, 96, 3),
    "inception_3b_3x3_conv1": (96, 256, 1), "inception_3b_3x3_conv2": (128, 96, 3),
    "inception_3b_5x5_conv1": (32, 256, 1), "inception_3b_5x5_conv2": (64, 32, 5),
    "inception_3b_pool_conv": (64, 256, 1), "inception_3b_1x1_conv": (64, 256, 1),
    "inception_3c_3x3_conv1": (128, 320, 1), "inception_3c_3x3_conv2": (256, 128, 3),
    "inception_3c_5x5_conv1": (32, 320, 1), "inception_3c_5x5_conv2": (64, 32, 5),
    "inception_4a_3x3_conv1": (96, 640, 1), "inception_4a_3x3_conv2": (192, 96, 3),
    "inception_4a_5x5_conv1": (32, 640, 1), "inception_4a_5x5_conv2": (64, 32, 5),
    "inception_4a_pool_conv": (128, 640, 1), "inception_4a_1x1_conv": (256, 640, 1),
    "inception_4e_3x3_conv1": (160, 640, 1), "inception_4e_3x3_conv2": (256, 160, 3),
    "inception_4e_5x5_conv1": (64, 640, 1), "inception_4e_5x5_conv2": (128, 64, 5),
    "inception_5a_3x3_conv1": (96, 1024, 1), "inception_5a_3x3_conv2": (384, 96, 3),
    "inception_5a_pool_conv": (96, 1024, 1), "inception_5a_1x1_conv": (256, 1024, 1),
    "inception_5b_3x3_conv1": (96, 736, 1), "inception_5b_3x3_conv2": (384, 96, 3),
    "inception_5b_pool_conv": (96, 736, 1), "inception_5b_1x1_conv": (256, 736, 1),
}  # fmt: skip


def write_folder(folder: Path, seed: int = 0) -> Path:
    """Random weights in OpenFace's files; spread so that signals neither fade nor blow up."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)

    def write(name: str, values: Array) -> None:
        rows = values.reshape(len(values), -1)
        # Some of the real files are one row, some one number a row: both are read.
        rows = rows.T if rows.shape[1] == 1 and name.startswith("bn") else rows
        np.savetxt(folder / f"{name}.csv", rows, fmt="%.7g", delimiter=",")

    for conv, (outputs, inputs, side) in CONVOLUTIONS.items():
        spread = (2 / (inputs * side * side)) ** 0.5
        write(f"{conv}_w", random.normal(0, spread, (outputs, inputs, side, side)))
        write(f"{conv}_b", random.normal(0, 0.1, outputs))
        norm = conv.replace("conv", "bn")
        write(f"{norm}_w", random.uniform(0.7, 1.3, outputs))
        write(f"{norm}_b", random.normal(0, 0.2, outputs))
        write(f"{norm}_m", random.normal(0, 0.2, outputs))
        write(f"{norm}_v", random.uniform(0.7, 1.5, outputs))
    write("dense_w", random.normal(0, (1 / 736) ** 0.5, (128, 736)))
    write("dense_b", random.normal(0, 0.05, 128))
    return folder


class OpenFace:
    """The network; every block is a method, from pictures of shape (channels, height, width)."""

    def __init__(self, folder: Path) -> None:
        self._values: dict[str, Any] = {
            path.stem: np.genfromtxt(path, delimiter=",") for path in folder.glob("*.csv")
        }

    def __call__(self, picture: Array) -> Array:
        x = self._step("conv1", "bn1", picture, pad=3, stride=2, epsilon=1e-3)
        x = _pool(_padded(x, 1), 2, np.max)
        x = self._step("conv2", "bn2", x)
        x = self._step("conv3", "bn3", x, pad=1)
        x = _pool(_padded(x, 1), 2, np.max)
        for block in (self.a3, self.b3, self.c3, self.a4, self.e4, self.a5, self.b5):
            x = block(x)
        x = _pool(x, 1, np.mean).ravel()
        return self._values["dense_w"].reshape(128, 736) @ x + self._values["dense_b"]

    def a3(self, x: Array) -> Array:
        pooled = self._branch("inception_3a_pool", _pool(x, 2, np.max))
        pooled = np.pad(pooled, ((0, 0), (3, 4), (3, 4)))
        return self._all("inception_3a", x, 1, pooled)

    def b3(self, x: Array) -> Array:
        pooled = self._branch("inception_3b_pool", _pool(x, 3, np.mean))
        return self._all("inception_3b", x, 1, _padded(pooled, 4))

    def c3(self, x: Array) -> Array:
        pooled = np.pad(_pool(x, 2, np.max), ((0, 0), (0, 1), (0, 1)))
        return self._all("inception_3c", x, 2, pooled)

    def a4(self, x: Array) -> Array:
        pooled = self._branch("inception_4a_pool", _pool(x, 3, np.mean))
        return self._all("inception_4a", x, 1, _padded(pooled, 2))

    def e4(self, x: Array) -> Array:
        pooled = np.pad(_pool(x, 2, np.max), ((0, 0), (0, 1), (0, 1)))
        return self._all("inception_4e", x, 2, pooled)

    def a5(self, x: Array) -> Array:
        pooled = self._branch("inception_5a_pool", _pool(x, 3, np.mean))
        return self._all("inception_5a", x, 1, _padded(pooled, 1))

    def b5(self, x: Array) -> Array:
        pooled = self._branch("inception_5b_pool", _pool(x, 2, np.max))
        return self._all("inception_5b", x, 1, _padded(pooled, 1))

    def _all(self, block: str, x: Array, stride: int, pooled: Array) -> Array:
        parts = []
        for side in (3, 5):
            name = f"{block}_{side}x{side}"
            if f"{name}_conv1" in CONVOLUTIONS:
                inner = self._step(f"{name}_conv1", f"{name}_bn1", x)
                pad = side // 2
                parts.append(self._step(f"{name}_conv2", f"{name}_bn2", inner, pad, stride))
        parts.append(pooled)
        if f"{block}_1x1_conv" in CONVOLUTIONS:
            parts.append(self._branch(f"{block}_1x1", x))
        return np.concatenate(parts)

    def _branch(self, name: str, x: Array) -> Array:
        return self._step(f"{name}_conv", f"{name}_bn", x)

    def _step(
        self, conv: str, norm: str, x: Array, pad: int = 0, stride: int = 1, epsilon: float = 1e-5
    ) -> Array:
        outputs, inputs, side = CONVOLUTIONS[conv]
        kernel = self._values[f"{conv}_w"].reshape(outputs, inputs, side, side)
        windows = np.lib.stride_tricks.sliding_window_view(_padded(x, pad), (side, side), (1, 2))
        found = np.einsum("ihwyx,oiyx->ohw", windows[:, ::stride, ::stride], kernel, optimize=True)
        found += self._column(f"{conv}_b")
        shifted = (found - self._column(f"{norm}_m")) / np.sqrt(self._column(f"{norm}_v") + epsilon)
        scaled: Array = shifted * self._column(f"{norm}_w") + self._column(f"{norm}_b")
        return np.maximum(scaled, 0)

    def _column(self, name: str) -> Array:
        values: Array = self._values[name].reshape(-1, 1, 1)
        return values


def _padded(x: Array, pad: int) -> Array:
    return np.pad(x, ((0, 0), (pad, pad), (pad, pad)))


def _pool(x: Array, stride: int, kind: Any) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
    pooled: Array = kind(windows[:, ::stride, ::stride], axis=(3, 4))
    return pooled
