"""Stage: plays an attack before a camera and hands on its frames.

Takes in a script (see kinds), the picture or video it shows and a random generator; hands on
frames (uint8 BGR) with their times. Motion blur comes from averaging instants of one exposure,
moire from sampling a screen's own pixel grid without a filter, as a sensor does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.attacks.camera import Camera, draw_faults
from benchmarks.attacks.kinds import Script
from benchmarks.attacks.passing import Passing
from benchmarks.attacks.sheet import Pose, look_up, trace
from edgeface.pipeline.pictures import Picture

SIZES = ((640, 480), (640, 480), (800, 600))
_SHOWN = (
    480,
    416,
)  # the middle of the frame, which is all that is rendered: it takes half the time
_SCREEN_LINES = {"phone": 620, "monitor": 480}  # rows of the screen across the picture shown

EyesBehind = Callable[[float], Picture]
"""A frontal face at a time, shape (250, 250, 3), framed as the print is."""


@dataclass(frozen=True)
class Shot:
    """One frame and its time in seconds."""

    time: float
    picture: Picture


def play(
    script: Script,
    show: Callable[[float], Picture],
    random: np.random.Generator,
    *,
    seconds: float = 3.0,
    rate: float = 10.0,
    eyes: tuple[EyesBehind, NDArray[np.uint8]] | None = None,
) -> Iterator[Shot]:
    """Play an attack. `show(t)` is what the surface shows; `eyes` is who is behind the holes
    and the holes' mask (uint8, shape of the texture), for scripts with eye holes."""
    size = SIZES[int(random.integers(len(SIZES)))]
    focal = size[0] * random.uniform(0.85, 1.3)
    size = min(size[0], _SHOWN[0]), min(size[1], _SHOWN[1])
    camera = Camera(draw_faults(random), random)
    exposure = random.uniform(0.004, 0.035)
    background = _background(size, random)
    light = _Light(size, script.surface, random)
    screen = _Screen(script.surface, random)
    passing = Passing(script.passing, random) if script.passing else None
    still = None if script.video or script.animated else screen.dress(show(0.0))
    for number in range(round(seconds * rate)):
        time = number / rate
        texture = still if still is not None else screen.dress(show(time))
        instants = 1 if exposure < 0.012 else 2
        total: Picture | None = None
        for instant in range(instants):
            pose = script.pose(time + exposure * instant / instants)
            u, v = trace(pose, size, focal, texture.shape[0] / texture.shape[1])
            seen = look_up(texture, u, v)
            share = 1 / (instant + 1)
            if total is None:
                total = seen
            else:
                total = np.asarray(cv2.addWeighted(total, 1 - share, seen, share, 0), np.uint8)
        assert total is not None
        if script.holes and eyes is not None:
            total = _behind(total, eyes, time, u, v)
        total = light.on(total, pose, u, screen.bands(size[1], time))
        room = _shifted(background, time) if script.room_moves else background
        scene = _before(room, total, script, screen, u, v)
        if passing is not None:
            scene = passing.over(scene, *_place(script.pose(time), size, focal), time)
        yield Shot(time, camera.take(scene))


def _place(pose: Pose, size: tuple[int, int], focal: float) -> tuple[tuple[float, float], float]:
    """The sheet's middle and half-width in pixels of the frame."""
    half_width = focal / pose.distance
    return (size[0] / 2 + half_width * pose.x, size[1] / 2 + half_width * pose.y), half_width


def _shifted(room: Picture, time: float) -> Picture:
    """The room as somebody walking past behind would change it."""
    moved = round(90 * time) % room.shape[1]
    return np.ascontiguousarray(np.roll(room, moved, axis=1))


def _before(
    background: Picture,
    seen: Picture,
    script: Script,
    screen: _Screen,
    u: NDArray[np.float32],
    v: NDArray[np.float32],
) -> Picture:
    """The sheet with its edge or bezel before the room."""
    if script.surface == "cutout":
        inside = (u / 0.62) ** 2 + ((v + 0.02) / 0.78) ** 2 < 1
    else:
        away = np.maximum(np.abs(u), np.abs(v))
        inside = away < 1 + screen.bezel
        if screen.bezel:
            seen[inside & (away >= 1)] = screen.frame_colour
    mask = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.7)
    return np.asarray(cv2.blendLinear(seen, background, mask, 1 - mask), np.uint8)


def _behind(
    seen: Picture,
    eyes: tuple[EyesBehind, NDArray[np.uint8]],
    time: float,
    u: NDArray[np.float32],
    v: NDArray[np.float32],
) -> Picture:
    """The sheet with its eyes replaced by those of a face that moves behind it."""
    show, holes = eyes
    opening = look_up(holes, u, v)
    if opening.ndim == 2:
        opening = opening[..., None]
    # The face follows the sheet but a little behind it and with a tremor of its own.
    drift = 0.015 * np.sin(2 * np.pi * 0.9 * time), 0.012 * np.sin(2 * np.pi * 1.3 * time + 1)
    face = look_up(show(time), u + np.float32(drift[0]), v + np.float32(drift[1]))
    share = opening[..., 0].astype(np.float32) / 255
    return np.asarray(cv2.blendLinear(face, seen, share, 1 - share), np.uint8)


class _Screen:
    """What a surface adds to the picture it shows: pixel grid, refresh bands, a bezel."""

    def __init__(self, surface: str, random: np.random.Generator) -> None:
        self.surface = surface
        self.lit = surface in {"phone", "monitor"}
        self.bezel = float(random.uniform(0.03, 0.12)) if self.lit else 0.0
        self.frame_colour = random.integers(5, 45, 3) if random.random() < 0.8 else (225, 225, 225)
        self._grid = float(random.uniform(0.05, 0.45))
        self._bands = float(random.uniform(0.0, 0.10)) if random.random() < 0.6 else 0.0
        self._speed, self._width = random.uniform(0.3, 4.0), random.uniform(0.5, 2.0)
        self._paper = random.uniform(0.8, 1.0), random.uniform(0, 25)
        self._dots = float(random.uniform(0, 8))
        self._seed = int(random.integers(1 << 30))

    def dress(self, picture: Picture) -> Picture:
        """The picture as the surface shows it."""
        if not self.lit:
            contrast, fog = self._paper
            large = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
            grain = np.random.default_rng(self._seed).normal(0, self._dots, large.shape[:2])
            paper = large * contrast + fog + grain[..., None]
            return np.clip(paper, 0, 255).astype(np.uint8)
        lines = _SCREEN_LINES[self.surface]
        height, width = picture.shape[:2]
        size = (round(lines * width / height), lines)
        shown = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
        fine = cv2.resize(shown, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
        grid = np.full((3, 3, 3), 1 - self._grid, np.float32)
        for column, channel in ((0, 2), (1, 1), (2, 0)):
            grid[:2, column, channel] = 1 + self._grid
        rows, columns = fine.shape[0] // 3, fine.shape[1] // 3
        dressed = fine[: rows * 3, : columns * 3] * np.tile(grid, (rows, columns, 1))
        return np.clip(dressed, 0, 255).astype(np.uint8)

    def bands(self, rows: int, time: float) -> NDArray[np.float32]:
        """Brightness by row: bands roll over a screen seen by a camera out of step with it."""
        phase = np.linspace(0, 1, rows, dtype=np.float32) / self._width - self._speed * time
        share = 0.5 + 0.5 * np.sin(2 * np.pi * phase)
        return np.asarray(1 - self._bands * share, np.float32)


class _Light:
    """Shading that turns with the surface, and a reflection that stays where the lamp is."""

    def __init__(self, size: tuple[int, int], surface: str, random: np.random.Generator) -> None:
        glossy = random.random() < (0.6 if surface in {"phone", "monitor"} else 0.35)
        self._strength = random.uniform(15, 90) if glossy else 0.0
        width, height = size
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        centre = random.uniform(0.2, 0.8) * width, random.uniform(0.1, 0.8) * height
        spread = random.uniform(0.05, 0.18) * width
        away = (
            (x - centre[0]) ** 2 + ((y - centre[1]) * random.uniform(0.4, 1.6)) ** 2
        ) / spread**2
        self._spot = np.exp(-away)
        self._slope = random.normal() * 0.012

    def on(
        self, seen: Picture, pose: Pose, u: NDArray[np.float32], bands: NDArray[np.float32]
    ) -> Picture:
        shade = 1 - 0.5 * (1 - np.cos(np.radians(pose.yaw)) * np.cos(np.radians(pose.pitch)))
        shade += self._slope * pose.yaw * 0.2
        gain = np.broadcast_to((shade * bands)[:, None].astype(np.float32), u.shape)
        if pose.bend:
            gain = gain * (1 - np.float32(0.12 * abs(pose.bend)) * np.clip(u, -1, 1))
        lit = cv2.multiply(seen, cv2.merge([gain] * 3), dtype=cv2.CV_8U)
        if self._strength:
            shift = np.array([[1, 0, 6 * pose.yaw], [0, 1, 6 * pose.pitch]], np.float32)
            spot = cv2.warpAffine(self._spot, shift, (seen.shape[1], seen.shape[0]))
            level = (self._strength * spot).astype(np.uint8)
            lit = cv2.add(lit, cv2.merge([level] * 3))
        return np.asarray(lit, np.uint8)


def _background(size: tuple[int, int], random: np.random.Generator) -> Picture:
    """A room out of focus."""
    coarse = random.integers(20, 230, (random.integers(3, 9), random.integers(3, 12), 3))
    room = cv2.resize(coarse.astype(np.uint8), size, interpolation=cv2.INTER_CUBIC)
    for _ in range(int(random.integers(0, 6))):
        a, b = (tuple(int(n) for n in random.integers(0, size, 2)) for _ in range(2))
        cv2.rectangle(room, a, b, random.integers(10, 240, 3).tolist(), -1)
    soft = cv2.GaussianBlur(room, (0, 0), float(random.uniform(1, 6)))
    return np.asarray(soft, np.uint8)
