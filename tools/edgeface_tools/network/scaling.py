"""Factors moved into weights: of a layer's outputs, and of its inputs, channel by channel.

Takes in and hands on single operations; arithmetic is done in float64 and rounded once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeface_tools.network.graph import Convolution, Depthwise, Weighted

Numbers = NDArray[np.float64]
"""Shape (channels,)."""


def scaled(operation: Weighted, factor: Numbers, shift: Numbers) -> Weighted:
    """The operation whose output is `factor` times the given one's, plus `shift`, by channel."""
    kernel = operation.kernel.astype(np.float64) * factor
    bias = operation.bias.astype(np.float64) * factor + shift
    return replace(operation, kernel=kernel.astype(np.float32), bias=bias.astype(np.float32))


def inputs_scaled(operation: Weighted, factor: Numbers) -> Weighted:
    """The operation that gives for an input what the given one gives for `factor` times it."""
    kernel = operation.kernel.astype(np.float64)
    if isinstance(operation, Convolution):
        kernel = kernel * factor[:, np.newaxis]
    elif isinstance(operation, Depthwise):
        kernel = kernel * np.repeat(factor, operation.multiplier)
    else:  # a flattened picture holds the channels pixel by pixel
        kernel = kernel * np.resize(factor, len(kernel))[:, np.newaxis]
    return replace(operation, kernel=kernel.astype(np.float32))
