"""From a source to a described model: the stations of the workstation side in their order.

    source ──► network ──► float .tflite ──► observations ──► int8 .tflite ──► description

Takes in what the command line was told, hands on bytes; knows the defaults that FaceNet is used
with. It writes no file and asks no questions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edgeface.errors import ConfigError, ModelError
from edgeface.model import AlignmentSpec, Description, EmbeddingSpec, InputSpec, Source, describe
from edgeface_tools import population as populations
from edgeface_tools.build import float_tflite
from edgeface_tools.faces import FEWEST_FACES, Faces, cut_faces, pictures_in
from edgeface_tools.fetch import Fetched, fetch_facenet, sha256_of
from edgeface_tools.flatbuffer import unpack
from edgeface_tools.graph import Network
from edgeface_tools.legacy_h5 import read_legacy_h5
from edgeface_tools.observe import Observations, observe
from edgeface_tools.operators import minimum_runtime, needs, too_new
from edgeface_tools.progress import bar
from edgeface_tools.quantize import quantize_int8
from edgeface_tools.rewrite import simplify, swap_colours

TOOL = "convert-model 1"
"""Raised when the same source gives other bytes; not with every release."""

FACENET = "facenet"
"""The name that stands for the pinned FaceNet in place of a path."""

# The common 112 x 112 template of eyes and mouth corners' centre, enlarged 1.05 times about the
# picture's centre: best on LFW View 1 train of 1.00, 1.05 and 1.10 (with 1.10 the tail at a FAR of
# 1e-5 is worse, with 1.00 accuracy is).
TEMPLATE = AlignmentSpec(
    right_eye=(0.33397, 0.45969), left_eye=(0.66434, 0.45781), mouth=(0.50131, 0.84022)
)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A source as a network that takes BGR pictures."""

    name: str
    source: Source
    network: Network
    pictures: Path | None
    """Pictures that came with the source, to calibrate on."""


def load_source(source: str) -> Loaded:
    """Read a source: a path, or `facenet` for the pinned one."""
    fetched: Fetched | None = None
    if source == FACENET:
        fetched = fetch_facenet()
    path = fetched.weights if fetched else Path(source)
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; give a Keras .h5 file, or: {FACENET}")
    network = swap_colours(simplify(read_legacy_h5(path)))
    return Loaded(
        name=FACENET if fetched else path.stem,
        source=Source(path.name, sha256_of(path)),
        network=network,
        pictures=fetched.pictures if fetched else None,
    )


def input_spec(network: Network) -> InputSpec:
    """How FaceNet wants its pictures."""
    return InputSpec(size=network.input_shape[0], colour="bgr", normalization="per-image")


def faces_for(loaded: Loaded, folder: Path | None) -> Faces:
    """Aligned faces to calibrate on: of `folder`, or of the pictures that came with the source."""
    folder = folder or loaded.pictures
    if folder is None:
        raise ConfigError("int8 needs photos of faces to calibrate on; give --calibrate FOLDER")
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; check --calibrate")
    pictures = pictures_in(folder)
    with bar("cutting faces", len(pictures)) as progress:
        faces = cut_faces(pictures, TEMPLATE, loaded.network.input_shape[0], progress)
    if len(faces.used) < FEWEST_FACES:
        raise ConfigError(
            f"only {len(faces.used)} of {len(pictures)} pictures in {folder} show a face; "
            f"calibration needs {FEWEST_FACES} or more, of several people"
        )
    return faces


def observations_of(loaded: Loaded, faces: Faces, measured_on: str) -> Observations:
    """What quantization must know, measured on `faces`."""
    spec = input_spec(loaded.network)
    with bar("watching the network", len(faces.crops)) as progress:
        return observe(float_tflite(loaded.network), faces.crops, spec, measured_on, progress)


def convert(
    loaded: Loaded, observations: Observations, population: Path | None, name: str | None
) -> bytes:
    """The described int8 model's bytes."""
    with bar("quantizing", 2) as progress:
        network = float_tflite(loaded.network)
        progress()
        quantized = quantize_int8(network, observations)
        progress()
    found = needs(unpack(quantized))
    if lacking := too_new(found):
        raise ModelError(
            f"the oldest supported runtime lacks {', '.join(map(str, lacking))}; nothing written"
        )
    description = Description(
        format=1,
        name=name or loaded.name,
        precision="int8",
        network_bytes=len(quantized),
        network_sha256=hashlib.sha256(quantized).hexdigest(),
        input=input_spec(loaded.network),
        alignment=TEMPLATE,
        embedding=EmbeddingSpec(loaded.network.embedding_size),
        scores=None,
        source=loaded.source,
        tool=TOOL,
        minimum_runtime=minimum_runtime(found),
    )
    return described(quantized, description, population)


def described(network: bytes, description: Description, population: Path | None) -> bytes:
    """A model file's bytes, with the population's numbers if a file of them is given."""
    if population is None:
        return describe(network, description)
    numbers = populations.load(population)
    populations.check_same_model(numbers, description, population)
    return describe(network, populations.with_population(description, numbers))
