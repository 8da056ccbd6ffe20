"""Register: aligns one sample of a face with an earlier one as a sheet of paper would move.

Takes in two `Sample`s, hands on a `Comparison`: the difference that remains after the motion of the
best-fitting smooth sheet - flat or bent, tilted, moved - has been removed. For a picture only noise
remains; for a head its depth, and for a living one its eyes and mouth. It does not judge.

Points are followed by Lucas and Kanade's method (1981; pyramidal, Bouguet 2001) twice: first to
estimate the sheet's motion, then, in the picture with that motion removed, to measure what remains.
A sheet is a polynomial of third degree over the face: the flow of a plane seen in perspective is
quadratic to first order (Longuet-Higgins and Prazdny 1980), and a bend adds smooth terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.liveness.sample import HEIGHT, UNIT, WIDTH, Sample

# Points of the mesh at least five pixels of the crop apart, by region. Those near the eyes help to
# find the sheet's motion but do not count as parallax: real eyes may look through a sheet's holes.
# fmt: off
_SOLID = np.array((
    2, 4, 5, 9, 36, 44, 48, 50, 68, 69, 75, 101, 104, 107, 108, 135, 151, 187, 192, 203, 205,
    206, 207, 209, 210, 214, 216, 220, 236, 266, 274, 280, 298, 299, 305, 330, 331, 333, 336,
    337, 364, 411, 423, 425, 426, 427, 429, 430, 434, 436, 440, 456,
))
_NEAR_EYES = np.array((
    6, 47, 52, 53, 55, 65, 117, 118, 124, 128, 168, 193, 196, 228, 282, 283, 285, 295, 329, 343,
    346, 347, 353, 417, 419, 448, 465,
))
_MOUTH_AND_JAW = np.array((
    0, 17, 39, 57, 83, 91, 164, 167, 181, 186, 204, 267, 273, 312, 315, 322, 393, 405, 410, 140,
    169, 171, 175, 194, 200, 201, 211, 365, 369, 394, 396, 418, 421, 431,
))
# fmt: on
_RIGID = np.concatenate((_SOLID, _NEAR_EYES))
_FOLLOWED = np.concatenate((_RIGID, _MOUTH_AND_JAW))
_S, _N = len(_SOLID), len(_RIGID)

_LOW_JAW = np.array((135, 192, 210, 214, 364, 434, 430, 207, 427, 216, 436))
_UPPER = np.flatnonzero(~np.isin(_RIGID, _LOW_JAW))  # rigid points that the jaw does not move
_CHIN = np.flatnonzero(np.isin(_FOLLOWED, (171, 175, 194, 200, 201, 396, 418, 421)))
_LOW_ORDER = [0, 1, 2, 4, 5, 7]  # of the basis: degrees up to the second
REGIONS = 8  # of the face: brows, sides of the nose, cheeks and jaws, the right ones first

_GRID = 8  # pixels between the places where the sheet's motion is worked out
_FIRST = {"winSize": (15, 15), "maxLevel": 1, "criteria": (3, 10, 0.03), "minEigThreshold": 1e-4}
_SECOND = {"winSize": (11, 11), "maxLevel": 1, "criteria": (3, 8, 0.01), "minEigThreshold": 1e-4}
_FARTHEST = 8.0  # pixels: a point that moved more in the second pass was lost
_FEWEST = 40  # rigid points that must have been followed
_SLACK = np.ones((5, 5), np.uint8)  # a change must exceed what two pixels of shift explain


@dataclass(frozen=True)
class Comparison:
    """What a sheet cannot explain between two samples.

    time: of the later sample; followed: share of rigid points found again, 0 to 1; noise: pixels
    of the crop, deviation of rigid points from the sheet; turn: of the head, degrees; agreement,
    expected and strength: sums by region, shape (REGIONS,), of (expected x measured), expected
    squared and measured squared parallax, square pixels, where expected is what the mesh's turn
    would cause in a solid head; mouth, eyes, nose, brow, cheeks: mean change of normalized grey
    beyond two pixels of shift; opening: change of the gap between the lips, jaw: how far the chin's
    skin went down against the upper face (None where it was lost), in eyes' distances.
    """

    time: float
    followed: float
    noise: float
    turn: float
    agreement: NDArray[np.float64]
    expected: NDArray[np.float64]
    strength: NDArray[np.float64]
    mouth: float
    eyes: float
    nose: float
    brow: float
    cheeks: float
    opening: float
    jaw: float | None


class Anchor:
    """An earlier sample, prepared so that many later ones can be registered with it."""

    def __init__(self, sample: Sample) -> None:
        self.sample, self.solid = sample, solid_of(sample)
        self._places = sample.points[_FOLLOWED].reshape(-1, 1, 2)
        points = self._places.reshape(-1, 2).astype(np.float64)
        self._basis = _basis(points)
        self._region = _regions(points[:_N])
        soft = cv2.GaussianBlur(sample.crop, (5, 5), 0.9)
        texture = cv2.cornerMinEigenVal(soft, 9)
        column = np.clip(np.round(points[:, 0]), 0, WIDTH - 1).astype(int)
        row = np.clip(np.round(points[:, 1]), 0, HEIGHT - 1).astype(int)
        strength = texture[row, column] / (float(np.median(texture[row, column][:_N])) + 1e-9)
        self._trust = np.sqrt(np.sqrt(strength.clip(0.0)).clip(0.1, 2.0))
        level = _normalized(soft)
        self._high, self._low = cv2.dilate(level, _SLACK), cv2.erode(level, _SLACK)
        at = sample.points
        self._regions = {
            "mouth": [_window((at[13] + at[14]) / 2, 20, 15)],
            "eyes": [
                _window((at[33] + at[133]) / 2, 13, 8),
                _window((at[362] + at[263]) / 2, 13, 8),
            ],
            "nose": [_window(at[5], 14, 14)],
            "brow": [_window(at[9], 14, 8)],
            "cheeks": [_window(at[50], 9, 9), _window(at[280], 9, 9)],
        }

    def compare(self, later: Sample, rotation: NDArray[np.float64]) -> Comparison | None:
        """What a sheet does not explain in `later`; None where too few points were found again.
        `rotation` is the turn of the head from the anchor to it."""
        start = later.points[_FOLLOWED].reshape(-1, 1, 2)
        places, basis = self._places, self._basis
        found, status, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
            self.sample.crop,
            later.crop,
            places,
            start.copy(),
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
            **_FIRST,
        )
        flow = (found - places).reshape(-1, 2).astype(np.float64)
        trust = self._trust * (status.ravel() > 0)
        if np.count_nonzero(trust[:_N]) < _FEWEST:
            return None
        sheet, _, _ = _fit(basis, flow, trust)
        jaw = self._jaw(flow, trust)
        undone = _undo(later.crop, sheet)
        found, status, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
            self.sample.crop,
            undone,
            places[:_N],
            places[:_N].copy(),
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
            **_SECOND,
        )
        left = (found - places[:_N]).reshape(-1, 2).astype(np.float64)
        kept = (status.ravel() > 0) & (np.abs(left).max(axis=1) < _FARTHEST)
        if np.count_nonzero(kept) < _FEWEST:
            return None
        _, noise, weights = _fit(basis[:_N], left, self._trust[:_N] * kept)
        agreement, expected, strength = self._parallax(left, weights, rotation)
        change = self._change(undone)
        gap = [float(np.linalg.norm(s.points[13] - s.points[14])) for s in (self.sample, later)]
        return Comparison(
            time=later.time,
            followed=float(np.mean(kept)),
            noise=noise,
            turn=float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))),
            agreement=agreement,
            expected=expected,
            strength=strength,
            jaw=jaw,
            opening=(gap[1] - gap[0]) / UNIT,
            **change,
        )

    def _jaw(self, flow: NDArray[np.float64], trust: NDArray[np.float64]) -> float | None:
        """How far the skin of the chin moved down against the upper face, in eyes' distances; None
        where it could not be followed."""
        kept = _CHIN[trust[_CHIN] > 0]
        if len(kept) < len(_CHIN) // 2:
            return None
        weights = trust[_UPPER, None]
        basis = self._basis[:, _LOW_ORDER]
        fitted = np.linalg.lstsq(basis[_UPPER] * weights, flow[_UPPER] * weights, rcond=None)[0]
        return float(np.median(flow[kept, 1] - basis[kept] @ fitted[:, 1])) / UNIT

    def _parallax(
        self,
        left: NDArray[np.float64],
        weights: NDArray[np.float64],
        rotation: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Sums by region, sheet removed: expected x measured, both squared."""
        weights = weights[:, None]
        expected = (self.solid @ rotation.T - self.solid)[:, :2] * weights
        measured = left * weights
        sheets, _ = np.linalg.qr(self._basis[:_N] * weights)
        expected = expected - sheets @ (sheets.T @ expected)
        measured = measured - sheets @ (sheets.T @ measured)
        sums = [
            (one * other).sum(axis=1)
            for one, other in ((expected, measured), (expected, expected), (measured, measured))
        ]
        by_region: NDArray[np.float64] = np.zeros((3, REGIONS))
        for row, each in zip(by_region, sums, strict=True):
            np.add.at(row, self._region, each)
        return by_region[0], by_region[1], by_region[2]

    def _change(self, undone: NDArray[np.uint8]) -> dict[str, float]:
        level = _normalized(cv2.GaussianBlur(undone, (5, 5), 0.9))
        beyond = np.maximum(np.maximum(level - self._high, self._low - level), 0)
        means = {
            name: [float(beyond[window].mean()) for window in windows]
            for name, windows in self._regions.items()
        }
        # A lid or a lip that moves is enough; both cheeks must have changed to count as changed.
        return {n: min(m) if n == "cheeks" else max(m) for n, m in means.items()}


def _regions(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """The region of each rigid point of a crop."""
    x, y = points.T
    height = np.select([y < 40, (np.abs(x - WIDTH / 2) < 17) & (y < 84), y < 83], [0, 1, 2], 3)
    return np.asarray(2 * height + (x >= WIDTH / 2), np.int64)


def _window(middle: NDArray[np.float32], half_width: int, half_height: int) -> tuple[slice, slice]:
    """A window of the crop that is never empty."""
    x = min(max(round(float(middle[0])), half_width), WIDTH - half_width)
    y = min(max(round(float(middle[1])), half_height), HEIGHT - half_height)
    return slice(y - half_height, y + half_height), slice(x - half_width, x + half_width)


def _basis(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Monomials up to the third degree at points of the crop, shape (n, 10)."""
    x, y = (points[:, 0] - WIDTH / 2) / 50, (points[:, 1] - 64) / 55
    return np.stack([x**i * y**j for i in range(4) for j in range(4 - i)], axis=1)


def _fit(
    basis: NDArray[np.float64], flow: NDArray[np.float64], trust: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """The sheet that most points follow: coefficients (10, 2), noise in pixels, weights (n,).

    Least squares reweighted by Huber's function; the noise is from the median absolute deviation.
    """
    weights = trust.copy()
    noise = 0.0
    coefficients: NDArray[np.float64] = np.zeros((basis.shape[1], 2))
    for _ in range(3):
        weighted = basis * weights[:, None]
        normal = weighted.T @ weighted + 1e-3 * np.eye(basis.shape[1])
        solved = np.linalg.solve(normal, weighted.T @ (flow * weights[:, None]))
        coefficients = solved.astype(np.float64)
        away = np.linalg.norm(flow - basis @ coefficients, axis=1)
        noise = 1.48 / 1.18 * float(np.median(away[trust > 0])) + 0.05
        weights = trust / np.maximum(1, away / (2 * noise))
    return coefficients, noise, weights


_ACROSS, _DOWN = np.meshgrid(
    np.arange(0, WIDTH + _GRID, _GRID, dtype=np.float64),
    np.arange(0, HEIGHT + _GRID, _GRID, dtype=np.float64),
)
_GRID_BASIS = _basis(np.stack((_ACROSS.ravel(), _DOWN.ravel()), axis=1))
_ENLARGE = np.array([[_GRID, 0, 0], [0, _GRID, 0]], np.float64)


def _undo(crop: NDArray[np.uint8], sheet: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The later crop with the sheet's motion removed."""
    flow = _GRID_BASIS @ sheet
    places = np.stack((_ACROSS.ravel() + flow[:, 0], _DOWN.ravel() + flow[:, 1]), axis=1)
    coarse = places.reshape(*_ACROSS.shape, 2).astype(np.float32)
    fine = cv2.warpAffine(coarse, _ENLARGE, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    border = cv2.BORDER_REPLICATE
    undone = cv2.remap(crop, fine, None, cv2.INTER_LINEAR, borderMode=border)  # type: ignore[call-overload]
    return np.asarray(undone, np.uint8)


def _normalized(crop: cv2.typing.MatLike) -> NDArray[np.float32]:
    """Grey levels about their neighbourhood's mean, in units of its contrast."""
    level = crop.astype(np.float32)
    level -= cv2.boxFilter(level, -1, (23, 23))
    contrast = cv2.sqrt(cv2.boxFilter(level * level, -1, (35, 35)))
    return np.asarray(level / (contrast + 6), np.float32)


def solid_of(sample: Sample) -> NDArray[np.float64]:
    """The rigid points of a face in space, relative to their mean, shape (79, 3)."""
    points = np.empty((_N, 3))
    points[:, :2], points[:, 2] = sample.points[_RIGID], sample.depth[_RIGID]
    return np.asarray(points - points.sum(axis=0) / _N)


def turns(solids: Sequence[NDArray[np.float64]], solid: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation from each of several heads to one, shape (n, 3, 3) (Kabsch 1976)."""
    u, _, v = np.linalg.svd(np.stack(solids).transpose(0, 2, 1) @ solid)
    u[:, :, 2] *= np.sign(np.linalg.det(u @ v))[:, None]
    return np.asarray((u @ v).transpose(0, 2, 1))


def turn_between(one: Sample, other: Sample) -> NDArray[np.float64]:
    """The rotation of the head between two samples, by their meshes, shape (3, 3)."""
    return np.asarray(turns([solid_of(one)], solid_of(other))[0])
