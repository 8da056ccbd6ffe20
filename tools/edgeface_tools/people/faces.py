"""Cuts faces out of ordinary photos with the runtime's own stations.

Takes in a folder, hands on aligned crops, so that a network is calibrated on the same kind of crop
that it gets when deployed, and the reason for every picture that gave none. It never runs the
network to be converted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeface.decide import threshold_for_far
from edgeface.errors import ConfigError, PictureError
from edgeface.pipeline.align import Aligner
from edgeface.pipeline.detect import Detector
from edgeface.pipeline.encode import Encoder
from edgeface.pipeline.model_file import AlignmentSpec, InputSpec, load_model
from edgeface.pipeline.pictures import read_picture

FEWEST_FACES = 20
"""Fewer do not show the range of the network's tensors."""

_ALIKE_SHARE = 0.9  # of all pairs of faces: if more are alike, all pictures are of one person

_SMALLEST_FACE = 40  # pixels, as in the runtime's pipeline
_KINDS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})

Crops = NDArray[np.uint8]
"""Shape (n, size, size, 3), BGR."""


@dataclass(frozen=True, eq=False)
class Faces:
    """The largest face of each picture that has one."""

    crops: Crops
    used: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...]
    shipped: NDArray[np.float32]
    """Each face's embedding by the shipped model, shape (n, 128): who resembles whom."""


def pictures_in(folder: Path) -> list[Path]:
    """All pictures below a folder, sorted by name; ConfigError when there are none."""
    found = sorted(
        path
        for path in folder.rglob("*")
        # macOS writes "._name.jpg" beside a file on a foreign disk: its attributes, no picture.
        if path.suffix.lower() in _KINDS and not path.name.startswith("._")
    )
    if not found:
        raise ConfigError(f"there are no pictures in {folder}; give a folder of JPEG or PNG files")
    return found


def cut_faces(
    pictures: Iterable[Path],
    alignment: AlignmentSpec,
    size: int,
    progress: Callable[[], None] = lambda: None,
) -> Faces:
    """Detect and align; pictures without a face, and files that are not pictures, are skipped."""
    detector, aligner = Detector(), Aligner(alignment, size)
    shipped = load_model()
    encoder = Encoder(shipped)
    about = shipped.description
    cutter = Aligner(about.alignment, about.input.size)
    crops, embeddings, used, skipped = [], [], [], []
    for path in pictures:
        try:
            frame = read_picture(path)
            faces = detector.detect(frame, _SMALLEST_FACE, first_found=True)
        except PictureError as error:
            skipped.append((path, str(error)))
        else:
            if faces:
                crops.append(aligner.align(frame, faces[0]).copy())
                embeddings.append(encoder.encode(cutter.align(frame, faces[0])))
                used.append(path)
            else:
                skipped.append((path, "no face found"))
        progress()
    stacked = np.stack(crops) if crops else np.empty((0, size, size, 3), np.uint8)
    rows = np.stack(embeddings) if crops else np.empty((0, about.embedding.size), np.float32)
    return Faces(stacked, tuple(used), tuple(skipped), rows)


def people_in(faces: Faces) -> NDArray[np.int64]:
    """A number for each face, equal where the shipped model takes two faces for one person.

    Chains count: faces that resemble the same face are one person's. Shape (n,).
    """
    alike = faces.shipped @ faces.shipped.T >= _alike()
    numbers = np.arange(len(alike))
    while True:
        lowest = np.where(alike, numbers[None, :], len(numbers)).min(axis=1, initial=len(numbers))
        if (lowest == numbers).all():
            return numbers
        numbers = lowest


def check_enough(faces: Faces, folder: Path) -> None:
    """ConfigError unless there are enough faces to calibrate on, of more than one person."""
    count, seen = len(faces.used), len(faces.used) + len(faces.skipped)
    if count < FEWEST_FACES:
        raise ConfigError(
            f"only {count} of {seen} pictures in {folder} show a face; calibration needs "
            f"{FEWEST_FACES} or more, of several people"
        )
    pairs = np.triu_indices(count, 1)
    alike = (faces.shipped @ faces.shipped.T)[pairs] >= _alike()
    if alike.mean() > _ALIKE_SHARE:
        raise ConfigError(
            f"the {count} faces in {folder} are all of one person, by their embeddings; add "
            "photos of other people, since a network calibrated on one face fits only that one"
        )


def _alike() -> float:
    return threshold_for_far(load_model(), 1e-3)


def standardize(crop: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.float32]:
    """A crop as the network's float input, shape (1, size, size, 3), as the runtime makes it."""
    values = crop[..., ::-1] if spec.colour == "rgb" else crop
    if spec.normalization == "per-image":
        offset = float(crop.mean(dtype=np.float64))
        deviation = float(crop.std(dtype=np.float64))
        scale = max(deviation, crop.size**-0.5)
    else:
        offset, scale = spec.offset, spec.scale
    standardized: NDArray[np.float32] = ((values[None] - offset) / scale).astype(np.float32)
    return standardized
