"""Kinds: the presentation attack instruments of the bench, and how each is moved.

Takes in a random generator, hands on a `Script` for one attack: what surface shows the picture and
where it is at every instant. Kinds for tuning and kinds for the report are disjoint: thresholds
were never chosen on the latter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from benchmarks.attacks.sheet import Pose

Surface = Literal["paper", "cutout", "phone", "monitor"]
Path = Callable[[float], float]


@dataclass(frozen=True)
class Script:
    """One attack: `pose(t)` in seconds. video: the picture moves by itself; eye_holes: somebody's
    eyes move behind the sheet."""

    kind: str
    surface: Surface
    pose: Callable[[float], Pose]
    video: bool = False
    eye_holes: bool = False


@dataclass(frozen=True)
class Sway:
    """Motion about a middle: a slow swing and an unsteady hand (a sum of sines)."""

    middle: float
    reach: float
    unsteady: float
    random: np.random.Generator
    period: float = 0.0
    _waves: list[tuple[float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        period = self.period or self.random.uniform(1.2, 3.5)
        self._waves.append((self.reach, 1 / period, self.random.uniform(0, 2 * np.pi)))
        for frequency in (0.6, 1.7, 4.1, 8.3):
            size = self.unsteady * self.random.normal() / (1 + frequency / 2)
            self._waves.append(
                (size, frequency * self.random.uniform(0.8, 1.2), self.random.uniform(0, 2 * np.pi))
            )

    def __call__(self, t: float) -> float:
        return self.middle + sum(a * np.sin(2 * np.pi * f * t + p) for a, f, p in self._waves)


def _script(
    kind: str,
    random: np.random.Generator,
    surface: Surface = "paper",
    *,
    yaw: float = 0,
    pitch: float = 0,
    roll: float = 0,
    far: float = 0,
    lean: float = 6,
    bend: float = 0,
    flex: float = 0,
    axis: float = 0,
    twist: float = 0,
    unsteady: float = 1.0,
    video: bool = False,
    eye_holes: bool = False,
) -> Script:
    """Angles in degrees are how far the sheet swings; `lean` is how skew it is held at rest."""
    distance = random.uniform(2.4, 5.5) if surface != "monitor" else random.uniform(2.2, 4.5)
    paths = {
        "yaw": Sway(random.normal() * lean, yaw, 1.2 * unsteady, random),
        "pitch": Sway(random.normal() * lean, pitch, 1.2 * unsteady, random),
        "roll": Sway(random.normal() * lean / 2, roll, 0.8 * unsteady, random),
        "x": Sway(random.normal() * 0.15, 0.05, 0.05 * unsteady, random),
        "y": Sway(random.normal() * 0.10, 0.04, 0.05 * unsteady, random),
        "distance": Sway(distance, far * distance, 0.03 * unsteady, random),
        "bend": Sway(bend, flex, 0.01 if bend or flex else 0.0, random),
        "twist": Sway(0, twist, twist / 5, random),
    }

    def pose(t: float) -> Pose:
        return Pose(axis=axis, **{name: path(t) for name, path in paths.items()})

    return Script(kind, surface, pose, video, eye_holes)


def _either(random: np.random.Generator, low: float, high: float) -> float:
    return float(random.uniform(low, high) * random.choice((-1, 1)))


TUNING: dict[str, Callable[[np.random.Generator], Script]] = {
    "print held": lambda r: _script("print held", r),
    "print swung": lambda r: _script(
        "print swung", r, yaw=r.uniform(10, 40), pitch=r.uniform(0, 20), roll=r.uniform(0, 12)
    ),
    "print bent": lambda r: _script(
        "print bent",
        r,
        yaw=r.uniform(0, 15),
        bend=r.normal() * 0.2,
        flex=r.uniform(0.15, 0.45),
        axis=r.uniform(-40, 40),
    ),
    "print near and far": lambda r: _script(
        "print near and far", r, far=r.uniform(0.15, 0.35), yaw=r.uniform(0, 10)
    ),
    "phone still": lambda r: _script(
        "phone still", r, "phone", yaw=r.uniform(0, 25), pitch=r.uniform(0, 15)
    ),
    "eye holes": lambda r: _script(
        "eye holes", r, "cutout", yaw=r.uniform(0, 15), pitch=r.uniform(0, 8), eye_holes=True
    ),
    "phone video": lambda r: _script("phone video", r, "phone", yaw=r.uniform(0, 12), video=True),
}

REPORT: dict[str, Callable[[np.random.Generator], Script]] = {
    "print rolled": lambda r: _script(
        "print rolled",
        r,
        yaw=r.uniform(10, 30),
        pitch=r.uniform(0, 10),
        bend=r.uniform(0.35, 0.8),
        flex=r.uniform(0, 0.1),
        axis=r.uniform(-8, 8),
    ),
    "print twisted": lambda r: _script(
        "print twisted", r, yaw=r.uniform(0, 20), pitch=r.uniform(0, 20), twist=r.uniform(5, 25)
    ),
    "print cut out": lambda r: _script(
        "print cut out",
        r,
        "cutout",
        yaw=r.uniform(5, 35),
        pitch=r.uniform(0, 20),
        bend=_either(r, 0, 0.3),
        flex=r.uniform(0, 0.2),
        far=r.uniform(0, 0.1),
    ),
    "monitor still": lambda r: _script("monitor still", r, "monitor", unsteady=0.3),
    "tablet zoomed": lambda r: _script(
        "tablet zoomed", r, "phone", far=r.uniform(0.1, 0.3), roll=r.uniform(5, 25)
    ),
    "eye holes, bent": lambda r: _script(
        "eye holes, bent",
        r,
        "cutout",
        yaw=r.uniform(0, 20),
        bend=_either(r, 0.1, 0.35),
        flex=r.uniform(0, 0.2),
        eye_holes=True,
    ),
    "monitor video": lambda r: _script("monitor video", r, "monitor", unsteady=0.3, video=True),
}
KINDS = {**TUNING, **REPORT}
