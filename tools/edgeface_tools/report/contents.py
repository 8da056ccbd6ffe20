"""The contents of a report: the fields of report.json, which are all that report.html shows.

Takes in the figures that were measured, hands on a `Report`. It measures and formats nothing.
"""

from __future__ import annotations

import msgspec

from edgeface_tools.people.agreement import Agreement
from edgeface_tools.people.curves import Curve
from edgeface_tools.people.inputs import Inputs
from edgeface_tools.quantize.sqnr import LayerNoise
from edgeface_tools.quantize.widening import Widened
from edgeface_tools.report.trial import Trial
from edgeface_tools.tflite.cost import Cost
from edgeface_tools.tflite.inspection import Inspection


class Skipped(msgspec.Struct, frozen=True):
    """A picture that gave no face, and why."""

    picture: str
    why: str


class CalibrationFaces(msgspec.Struct, frozen=True):
    """The faces that were looked at, and whether they calibrated the network."""

    calibrated: bool
    """False where the observations came from a file, or nothing needs calibration."""
    what: str
    used: int
    skipped: list[Skipped]


class Parity(msgspec.Struct, frozen=True):
    """Cosine between the float and the converted network's embeddings, face by face."""

    what: str
    faces: int
    median: float
    percentile_1: float
    least: float
    edges: list[float]
    shares: list[float]


class Accuracy(msgspec.Struct, frozen=True):
    """One model on the listed pairs."""

    what: str
    pairs: int
    accuracy: float
    accuracy_std: float
    eer: float
    tar: dict[str, float]


class LabelledAccuracy(msgspec.Struct, frozen=True):
    """The labelled faces, and each model on all their cross pairs."""

    what: str
    own: bool
    """Whether they are the calibration photos themselves, since none were labelled."""
    people: int
    calibrated_on: int | None
    """How many of the people are among the calibration faces; None where these are not known."""
    faces: int
    skipped: list[Skipped]
    genuine_pairs: int
    impostor_pairs: int
    curves: list[Curve]
    """The float network, the converted one, and pixels without a network."""
    listed: list[Accuracy]
    """The same on the pairs of the pairs file, where one was given."""


class Timed(msgspec.Struct, frozen=True):
    """A model on a runtime."""

    precision: str
    trial: Trial


class PortraitPair(msgspec.Struct, frozen=True):
    """A shipped portrait and its aligned crop, as data URIs."""

    name: str
    before: str
    after: str


class Report(msgspec.Struct, frozen=True):
    """Everything in report.json; report.html shows this and nothing else."""

    format: int
    name: str
    tool: str
    made: str
    """Date and time, UTC."""
    command: str
    edgeface: str
    """Version of EdgeFace."""
    float_bytes: int
    cost: Cost
    inspection: Inspection
    calibration: CalibrationFaces
    noise: list[LayerNoise]
    noise_faces: int
    agreement: Agreement
    """With the source in its own framework, on raw pixels."""
    widened: Widened | None
    """What was left in float to hold --max-drop, where that was given."""
    inputs: Inputs | None
    """How well other normalizations and colour orders separate the labelled faces."""
    parity: Parity
    people: LabelledAccuracy | None
    latency: list[Timed]
    samples: list[PortraitPair]
