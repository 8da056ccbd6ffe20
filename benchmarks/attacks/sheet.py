"""Sheet: renders a flat or bent surface that shows a picture, as a pinhole camera sees it.

Takes in a texture and the sheet's pose at one instant, hands on which point of the texture each
pixel of the frame shows. Pixels are traced to the surface z = bend / 2 * x'^2 in the sheet's own
axes, x' across the bend, so that a bend is exact for every pose; lengths along it are arc lengths
(paper does not stretch). Distances are in sheet half-widths.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_STEP = 8  # pixels between traced rays; between them the map is interpolated


@dataclass(frozen=True)
class Pose:
    """A sheet before the camera: angles in degrees; x, y, and distance in sheet half-widths.

    bend: curvature per half-width (0 is flat, 1 a radius of one half-width); axis: direction across
    the bend in degrees (0: rolled about the vertical); twist: torsion, degrees per half-width;
    fold: slope of both halves of a sheet that is folded instead of bent; crease: where.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    x: float = 0.0
    y: float = 0.0
    distance: float = 5.0
    bend: float = 0.0
    axis: float = 0.0
    twist: float = 0.0
    fold: float = 0.0
    crease: float = 0.0


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """From the sheet's axes to the camera's; degrees."""
    a, b, c = np.radians((yaw, pitch, roll))
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


def trace(
    pose: Pose, size: tuple[int, int], focal: float, aspect: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where each pixel of a frame of `size` (width, height) hits the sheet.

    Returns u, v of shape (height, width): -1..1 across the sheet of height/width `aspect`;
    far outside where a ray misses.
    """
    width, height = size
    across = np.arange(0, width + _STEP, _STEP, dtype=np.float64)
    down = np.arange(0, height + _STEP, _STEP, dtype=np.float64)
    px, py = np.meshgrid(across, down)
    rays = np.stack(((px - width / 2) / focal, (py - height / 2) / focal, np.ones_like(px)), -1)
    turn = rotation(pose.yaw, pose.pitch, pose.roll)
    spin = rotation(0, 0, pose.axis)
    to_sheet = (turn @ spin).T
    direction = rays @ to_sheet.T
    origin = to_sheet @ -np.array([pose.x, pose.y, pose.distance])
    if pose.fold:
        u, v = _hit_folded(origin, direction, pose.fold, pose.crease)
    else:
        u, v = _hit(origin, direction, pose.bend)
    # Back from the bend's axes to the sheet's.
    c, s = np.cos(np.radians(pose.axis)), np.sin(np.radians(pose.axis))
    u, v = c * u - s * v, s * u + c * v
    if pose.twist:
        # Torsion to first order: rows are turned about the sheet's middle by their height.
        lean = np.radians(pose.twist) * v
        v = v + 0.25 * lean * u
        u = u * (1 + 0.5 * lean**2) + 0.12 * lean * v
    u, v = u.astype(np.float32), (v / aspect).astype(np.float32)
    full = (len(across) * _STEP, len(down) * _STEP)
    # Sample k of the coarse map is pixel k * _STEP: shift by half a step against resize's centres.
    shift = np.array([[_STEP, 0, 0], [0, _STEP, 0]], np.float32)
    fine = [
        cv2.warpAffine(one, shift, full, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for one in (u, v)
    ]
    return np.asarray(fine[0][:height, :width]), np.asarray(fine[1][:height, :width])


def _hit(
    origin: NDArray[np.float64], direction: NDArray[np.float64], bend: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Arc length across and height along the bend where rays meet z = bend / 2 * x^2."""
    ox, oy, oz = origin
    dx, dy, dz = direction[..., 0], direction[..., 1], direction[..., 2]
    dz = np.where(np.abs(dz) < 1e-6, 1e-6, dz)
    if abs(bend) < 1e-4:
        t = -oz / dz
        return ox + t * dx, oy + t * dy
    a, b, c = bend / 2 * dx * dx, bend * ox * dx - dz, bend / 2 * ox * ox - oz
    under = b * b - 4 * a * c
    missed = under < 0
    root = np.sqrt(np.where(missed, 0, under))
    # The stable form of the root that tends to -c / b as the bend vanishes.
    t = 2 * c / np.where(b < 0, -b + root, -b - root)
    x, y = ox + t * dx, oy + t * dy
    slope = bend * x
    arc = (np.arcsinh(slope) + slope * np.sqrt(1 + slope**2)) / (2 * bend)
    return np.where(missed, 9.0, arc), y


def _hit_folded(
    origin: NDArray[np.float64], direction: NDArray[np.float64], fold: float, crease: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Length across and height along the crease where rays meet z = fold * |x - crease|."""
    stretch = np.sqrt(1 + fold**2)
    found_u = np.full(direction.shape[:-1], 9.0)
    found_v = np.zeros(direction.shape[:-1])
    nearest = np.full(direction.shape[:-1], np.inf)
    for side in (-1, 1):
        slope = side * fold
        below = direction[..., 2] - slope * direction[..., 0]
        below = np.where(np.abs(below) < 1e-6, 1e-6, below)
        t = (slope * (origin[0] - crease) - origin[2]) / below
        x = origin[0] + t * direction[..., 0]
        met = (side * (x - crease) >= 0) & (t > 0) & (t < nearest)
        nearest = np.where(met, t, nearest)
        found_u = np.where(met, crease + (x - crease) * stretch, found_u)
        found_v = np.where(met, origin[1] + t * direction[..., 1], found_v)
    return found_u, found_v


def look_up(
    texture: NDArray[np.uint8], u: NDArray[np.float32], v: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """The texture as seen through the map of `trace`; black outside."""
    height, width = texture.shape[:2]
    x, y = (u + 1) * (width / 2) - 0.5, (v + 1) * (height / 2) - 0.5
    return np.asarray(cv2.remap(texture, x, y, cv2.INTER_LINEAR), np.uint8)
