"""Figures of the bench: percentiles over many runs.

Takes in milliseconds, hands on percentiles. It measures nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Latency:
    """Percentiles over the runs, in milliseconds."""

    p50: float
    p95: float
    p99: float


def percentiles(milliseconds: list[float]) -> Latency:
    """p50, p95 and p99 of a list of milliseconds."""
    p50, p95, p99 = np.percentile(milliseconds, (50, 95, 99)).round(3).tolist()
    return Latency(p50, p95, p99)
