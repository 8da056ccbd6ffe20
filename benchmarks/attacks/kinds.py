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

from benchmarks.attacks.passing import Thing
from benchmarks.attacks.sheet import Pose

Surface = Literal["paper", "cutout", "phone", "monitor"]
Hole = Literal["eyes", "mouth"]
Path = Callable[[float], float]


@dataclass(frozen=True)
class Script:
    """One attack: `pose(t)` in seconds. video: the picture moves by itself; holes: where somebody
    behind the sheet shows through; animated: the picture is a still warped as a clip moves;
    passing: what moves before the sheet; room_moves: the background does."""

    kind: str
    surface: Surface
    pose: Callable[[float], Pose]
    video: bool = False
    holes: tuple[Hole, ...] = ()
    animated: bool = False
    passing: Thing | None = None
    room_moves: bool = False


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
    fold: float = 0,
    push: float = 0,
    video: bool = False,
    holes: tuple[Hole, ...] = (),
    animated: bool = False,
    passing: Thing | None = None,
    room_moves: bool = False,
) -> Script:
    """Angles in degrees are how far the sheet swings; `lean` is how skew it is held at
    rest; push: share of the distance by which it comes closer, then stays."""
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
        "fold": Sway(fold, 0.6 * fold, 0.01 if fold else 0.0, random),
    }
    crease = float(random.normal() * 0.08)
    begin, takes = random.uniform(0.2, 1.0), random.uniform(0.5, 1.5)

    def pose(t: float) -> Pose:
        at = {name: path(t) for name, path in paths.items()}
        at["distance"] *= 1 - push * float(np.clip((t - begin) / takes, 0, 1))
        return Pose(axis=axis, crease=crease, **at)

    return Script(kind, surface, pose, video, holes, animated, passing, room_moves)


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
        "eye holes", r, "cutout", yaw=r.uniform(0, 15), pitch=r.uniform(0, 8), holes=("eyes",)
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
        holes=("eyes",),
    ),
    "monitor video": lambda r: _script("monitor video", r, "monitor", unsteady=0.3, video=True),
}


def _passing(thing: Thing) -> Callable[[np.random.Generator], Script]:
    return lambda r: _script(
        f"{thing} before a print", r, yaw=r.uniform(0, 8), unsteady=0.6, passing=thing
    )


LATER: dict[str, Callable[[np.random.Generator], Script]] = {
    **{f"{t} before a print": _passing(t) for t in ("finger", "hand", "leaf", "shadow", "light")},
    "mouth hole": lambda r: _script(
        "mouth hole", r, "cutout", yaw=r.uniform(0, 15), pitch=r.uniform(0, 8), holes=("mouth",)
    ),
    "eye and mouth holes": lambda r: _script(
        "eye and mouth holes", r, "cutout", yaw=r.uniform(0, 15), holes=("eyes", "mouth")
    ),
    "print folded": lambda r: _script(
        "print folded",
        r,
        yaw=r.uniform(10, 30),
        pitch=r.uniform(0, 10),
        fold=_either(r, 0.1, 0.5),
        axis=r.choice((0, 90)) + r.uniform(-20, 20),
    ),
    "print curled": lambda r: _script(
        "print curled",
        r,
        yaw=r.uniform(5, 25),
        bend=r.uniform(0.2, 0.6),
        flex=r.uniform(0.1, 0.4),
        axis=r.uniform(-90, 90),
    ),
    "standee": lambda r: _script(
        "standee", r, "cutout", unsteady=0.4, yaw=r.uniform(0, 6), room_moves=True
    ),
    "phone pushed": lambda r: _script(
        "phone pushed", r, "phone", push=r.uniform(0.2, 0.5), yaw=r.uniform(0, 5)
    ),
    "animated still on a phone": lambda r: _script(
        "animated still on a phone", r, "phone", yaw=r.uniform(0, 8), animated=True
    ),
    "animated still on a monitor": lambda r: _script(
        "animated still on a monitor", r, "monitor", unsteady=0.3, animated=True
    ),
}
KINDS = {**TUNING, **REPORT, **LATER}
