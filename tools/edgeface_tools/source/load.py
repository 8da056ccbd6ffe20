"""Loads a source, recognized by its content, into one common form.

Takes in what the command line names, hands on a `Loaded`: the float32 network and its input's
description. File names and extensions decide nothing. It quantizes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from edgeface.errors import ConfigError, ModelError
from edgeface.pipeline.model_file import InputSpec, Source, models_folder
from edgeface_tools.network.graph import Graph
from edgeface_tools.network.rewrite import simplify, swap_colours
from edgeface_tools.network.to_tflite import float_tflite
from edgeface_tools.source.architectures import ARCHITECTURES
from edgeface_tools.source.fetch import WEIGHTS_SHA256, Fetched, fetch_facenet, sha256_of
from edgeface_tools.source.hdf5 import opened
from edgeface_tools.source.keras2 import read_legacy_h5
from edgeface_tools.source.keras3 import read_keras
from edgeface_tools.source.saved_model import is_saved_model, read_saved_model
from edgeface_tools.source.weights import read_openface_csv, read_weights_h5
from edgeface_tools.tflite.flatbuffer import ends, unpack

FACENET = "facenet"
"""The name that stands for the pinned FaceNet in place of a path."""

Colour = Literal["bgr", "rgb"]
NORMALIZATIONS = {"per-image": None, "0..1": (0.0, 255.0), "-1..1": (127.5, 127.5)}
"""By name: (offset, scale) of a fixed normalization."""

_OPENFACE = "nn4_small2"
_LIKE_FACENET = InputSpec(0, "rgb", "per-image")
_HDF5, _ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"


@dataclass(frozen=True)
class Recorded:
    """The numbers recorded in this project for the pinned FaceNet."""

    observations: Path
    population: Path


@dataclass(frozen=True, eq=False)
class Loaded:
    """A source as a float32 network."""

    name: str
    source: Source
    network: bytes
    """A bare flatbuffer that takes one picture, shape (1, size, size, 3)."""
    input: InputSpec
    embedding_size: int
    pictures: Path | None = None
    """Pictures that come with the source, for calibration."""
    recorded: Recorded | None = None


def load_source(
    source: str,
    architecture: str | None = None,
    colour: Colour | None = None,
    normalization: str | None = None,
) -> Loaded:
    """Read a source: a path, or `facenet` for the pinned one.

    `architecture` names the network of a file that has only weights. `colour` and `normalization`
    say how the network was trained; None means as its architecture was, otherwise as FaceNet was.
    Raises ConfigError or ModelError for what cannot be read or used.
    """
    fetched: Fetched | None = fetch_facenet() if source == FACENET else None
    path = fetched.weights if fetched else Path(source)
    network = _read(path, architecture)
    if path.is_dir() and not is_saved_model(path):
        architecture = _OPENFACE
    spec = ARCHITECTURES[architecture].input if architecture else _LIKE_FACENET
    spec = trained_with(spec, colour, normalization)
    if isinstance(network, Graph):
        network = simplify(network)
        # Swapped once in the weights rather than in every picture, which comes as BGR.
        swapped = swap_colours(network) if spec.colour == "rgb" else None
        if swapped is not None:
            network, spec = swapped, msgspec.structs.replace(spec, colour="bgr")
        network = float_tflite(network)
    size, numbers = picture_and_numbers(network, path)
    origin = Source(path.name, _digest(path))
    pinned = origin.sha256 == WEIGHTS_SHA256
    return Loaded(
        name=FACENET if pinned else path.stem.removesuffix(".weights"),
        source=origin,
        network=network,
        input=msgspec.structs.replace(spec, size=size),
        embedding_size=numbers,
        pictures=fetched.pictures if fetched else None,
        recorded=_recorded() if pinned else None,
    )


def trained_with(spec: InputSpec, colour: Colour | None, normalization: str | None) -> InputSpec:
    """An input with another colour order or normalization, where one is given."""
    if colour is not None:
        spec = msgspec.structs.replace(spec, colour=colour)
    if normalization is None:
        return spec
    fixed = NORMALIZATIONS[normalization]
    if fixed is None:
        return InputSpec(spec.size, spec.colour, "per-image")
    return InputSpec(spec.size, spec.colour, "fixed", *fixed)


def picture_and_numbers(network: bytes, path: Path) -> tuple[int, int]:
    """The side of a flatbuffer's input picture and the size of its output.

    ModelError unless it maps a square colour picture to one row of numbers.
    """
    source, target = ends(unpack(network))
    match source, target:
        case [1, int(height), int(width), 3], [1, int(numbers)] if height == width:
            return height, numbers
    raise ModelError(
        f"the network in {path} maps {source} to {target}; a face network maps one square colour "
        "picture, (1, size, size, 3), to one row of numbers"
    )


def _read(path: Path, architecture: str | None) -> Graph | bytes:
    if path.is_dir():
        return _read_folder(path, architecture)
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except FileNotFoundError:
        raise ConfigError(
            f"there is no file {path}; give a Keras file or folder, or: {FACENET}"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if start.startswith(_ZIP):
        _refuse_architecture(architecture, path)
        return read_keras(path)
    if start != _HDF5:
        raise ModelError(
            f"{path} is neither an HDF5 nor a .keras file, or is incomplete; give a Keras .h5 or "
            ".keras file, a SavedModel folder or a folder of OpenFace's CSV files"
        )
    if architecture is None:
        return read_legacy_h5(path)
    with opened(path) as file:
        whole = "model_config" in file.attrs
    if whole:
        _refuse_architecture(architecture, path)
    return read_weights_h5(path, architecture)


def _read_folder(path: Path, architecture: str | None) -> Graph | bytes:
    if is_saved_model(path):
        _refuse_architecture(architecture, path)
        return read_saved_model(path)
    if not any(path.glob("*.csv")):
        raise ModelError(
            f"the folder {path} is not a SavedModel and holds no CSV files; give a SavedModel "
            "folder or one of OpenFace's weights as CSV files"
        )
    if architecture not in (None, _OPENFACE):
        raise ConfigError(f"a folder of CSV files is read as {_OPENFACE}, not as {architecture}")
    return read_openface_csv(path)


def _refuse_architecture(architecture: str | None, path: Path) -> None:
    if architecture is not None:
        raise ConfigError(
            f"{path} holds a whole network; leave --architecture out, it is only for weights"
        )


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files in a folder."""
    if path.is_file():
        return sha256_of(path)
    digest = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        name = file.relative_to(path).as_posix()
        digest.update(f"{name}\0{sha256_of(file)}\n".encode())
    return digest.hexdigest()


def _recorded() -> Recorded | None:
    recorded = Recorded(
        models_folder() / "facenet-observations.json", models_folder() / "facenet-population.json"
    )
    there = recorded.observations.is_file() and recorded.population.is_file()
    return recorded if there else None
