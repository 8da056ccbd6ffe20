"""The model file: a TFLite network that says by itself how it wants to be used.

Takes in a path, hands on a `Model` (the open file, description, identity). The description is one
JSON document, `edgeface.json`, in a zip archive appended to the flatbuffer: the place the TFLite
Metadata convention gives to associated files, so `unzip -p model.tflite edgeface.json` shows it
and every TFLite runtime ignores it. This module never runs a network and never guesses: a file
without a description, or one whose bytes are not those described, is refused.
"""

from __future__ import annotations

import hashlib
import io
import math
import mmap
import os
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import msgspec

from edgeface.errors import ModelError
from edgeface.pipeline.network_file import NetworkFile
from edgeface.system.threads import Worker

DESCRIPTION_NAME = "edgeface.json"
DESCRIPTION_FORMAT = 1


class ShippedModel(NamedTuple):
    """A model that belongs to this version."""

    name: str
    file: str
    """Without .tflite."""
    sha256: str
    licence: str
    gmac: float
    """Thousand million multiply-accumulates for one face."""
    tar: float
    """At a FAR of 1e-4, on LFW View 1 test (docs/encoders.md)."""


SHIPPED_MODELS = (
    ShippedModel(
        "facenet",
        "facenet-int8",
        "c7c394a89132fcf88fda05d20d0b9ebee07e3c842d70d3cddaa47fceab87667c",
        "MIT",
        1.417,
        0.945,
    ),
    ShippedModel(
        "sface",
        "sface-int8",
        "393ee4455183146e00671c26c67af45072b21eac74e4b5b2f088f2ca3e80b5eb",
        "Apache-2.0",
        0.574,
        0.987,
    ),
)
DEFAULT_MODEL = "facenet"
SHIPPED = {one.sha256: one.file for one in SHIPPED_MODELS}
"""The models that belong to this version, by the SHA-256 of their files."""
_LEAST_LENGTHS = {
    # FaceNet, whose file is older than the key: 0.3 % of View 1 train lie below it, 0.15 % of test.
    "73328ecd8f43656d35f87a3b8c6a2ff7b12f44110c07cac3c843242dd8cfe1ad": 9.5
}
_LARGEST_DESCRIPTION = 8 << 20  # bytes, with the archive around it; the shipped one takes 90 kB
_LETS_EVERYBODY_IN = 1e-3  # at this FAR and below, half of all impostors reach a score of 0
_SLOWEST_DIGEST = 60.0  # seconds; a Pi Zero with a slow card takes about two
_TFLITE_MAGIC = b"TFL3"  # flatbuffer file identifier, bytes 4..8


def _require(holds: bool, sentence: str) -> None:
    """ValueError where a description cannot be meant; msgspec adds where it stands."""
    if not holds:
        raise ValueError(sentence)


class FarPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the score-to-FAR table: at `score` and above, `far` of impostor pairs pass."""

    far: float
    score: float
    supported: bool = True
    """False where fewer than 10 impostor pairs lie above the score: read it as a guess."""

    def __post_init__(self) -> None:
        _require(0 < self.far < 1, "a false accept rate must lie between 0 and 1")
        _require(math.isfinite(self.score), "a score must be a finite number")


class ScoreTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the score-to-FAR points were measured, and the points, FAR falling."""

    points: tuple[FarPoint, ...]
    impostor_pairs: int
    genuine_pairs: int
    measured_on: str

    def __post_init__(self) -> None:
        for point, stricter in pairwise(self.points):
            _require(
                stricter.far < point.far and stricter.score >= point.score,
                "a smaller false accept rate must have a higher score",
            )
        for point in self.points:
            _require(
                point.far > _LETS_EVERYBODY_IN or point.score > 0,
                f"a threshold of {point.score:g} lets everybody in",
            )

    @property
    def measured(self) -> bool:
        """Whether any point rests on pairs enough; otherwise the whole table is a guess."""
        return any(point.supported for point in self.points)


class InputSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network takes: a square picture of `size` x `size` pixels."""

    size: int
    colour: Literal["bgr", "rgb"]
    normalization: Literal["per-image", "fixed"]
    """per-image: (x - mean) / max(std, 1/sqrt(N)) over all N values of the picture (the
    standardization FaceNet was trained with); fixed: (x - offset) / scale."""
    offset: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        _require(0 <= self.size <= 1024, "the picture must have a side of 1024 pixels at most")
        _require(math.isfinite(self.offset), "the offset must be a finite number")
        _require(math.isfinite(self.scale) and self.scale != 0, "the scale must not be 0")


_Place = tuple[float, float]


class AlignmentSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the landmarks go, as fractions of the picture's side: (x, y) each; right and left are
    the person's own.

    Three points, the eyes and the middle of the mouth, are those of the detector. Five, with the
    nose's tip and the corners of the mouth instead of its middle, are those of the face mesh.
    """

    right_eye: _Place
    left_eye: _Place
    mouth: _Place | None = None
    nose: _Place | None = None
    right_corner: _Place | None = None
    left_corner: _Place | None = None

    def __post_init__(self) -> None:
        _require(
            all(-1 <= part <= 2 for place in self.places for part in place),
            "a landmark lies outside the picture",
        )
        given = [one is not None for one in (self.nose, self.right_corner, self.left_corner)]
        _require(
            all(given) if self.mouth is None else not any(given),
            "the alignment needs the mouth, or the nose and both corners of the mouth",
        )

    @property
    def of_mesh(self) -> bool:
        """Whether the five points of the face mesh are aligned, not the detector's three."""
        return self.mouth is None

    @property
    def places(self) -> tuple[_Place, ...]:
        """The points that are given, in the order of the fields."""
        return tuple(one for one in msgspec.structs.astuple(self) if one is not None)


class EmbeddingSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What comes out: `size` numbers, scaled to unit length by the runtime.

    Where `centre` is given it is the mean unit embedding of a population: it is subtracted after
    the first scaling to unit length, and the rest is scaled to unit length again.
    """

    size: int
    centre: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _require(1 <= self.size <= 8192, "an embedding must have 1 to 8192 numbers")
        if self.centre is not None:
            _require(all(map(math.isfinite, self.centre)), "the centre's numbers must be finite")


class CohortSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Faces of a population, from which an embedding is moved away (see `pipeline.cohort`).

    faces: int8, one row of the embedding's size each, their directions alone count (base64 in
    JSON); strength: how far, 0 to 1; sharpness: how much more the more similar ones weigh;
    nearest_left_out: so many of the nearest weigh nothing, since they may be the person.
    """

    faces: bytes
    strength: float
    sharpness: float
    nearest_left_out: int

    def __post_init__(self) -> None:
        _require(0 <= self.strength <= 1, "the cohort's strength must lie between 0 and 1")
        _require(math.isfinite(self.sharpness), "the cohort's sharpness must be finite")


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model was converted from."""

    name: str
    sha256: str


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that the runtime must know to use a network rightly."""

    format: int
    name: str
    precision: str
    network_bytes: int
    network_sha256: str
    input: InputSpec
    alignment: AlignmentSpec
    embedding: EmbeddingSpec
    scores: ScoreTable | None
    source: Source
    tool: str
    minimum_runtime: str
    cohort: CohortSpec | None = msgspec.field(default=None, name="crowd")
    least_length: float | msgspec.UnsetType = msgspec.UNSET
    """Of the network's output before it is scaled to unit length: below it there is no upright face
    in the crop. Left out, not null, where nobody measured it."""

    def __post_init__(self) -> None:
        if self.least_length is not msgspec.UNSET:
            least = self.least_length
            _require(math.isfinite(least) and least >= 0, "the least length must not be negative")

    @property
    def identity(self) -> str:
        """Hex SHA-256 of everything that shapes an embedding: network, input, alignment, centre,
        and the cohort where there is one.

        Two models with the same identity give comparable embeddings; the name, the score table
        and the tool's version do not enter.
        """
        shaping: list[object] = [self.network_sha256, self.input, self.alignment, self.embedding]
        if self.cohort is not None:  # models without one keep the identity they always had
            shaping.append(self.cohort)
        return hashlib.sha256(msgspec.json.encode(shaping)).hexdigest()


@dataclass(frozen=True)
class Model:
    """A model file whose bytes were found to be those described."""

    path: Path
    description: Description
    identity: str
    sha256: str = ""
    """Of the whole file, description included."""
    file: NetworkFile | None = field(default=None, repr=False, compare=False)
    """The file whose bytes were checked, to open the network from."""

    @property
    def shipped(self) -> str | None:
        """The name of the shipped model that this is, by its hash; None for any other."""
        return SHIPPED.get(self.sha256)

    @property
    def least_length(self) -> float:
        """The length of the network's output below which a crop shows no upright face; 0 where it
        was not measured."""
        least = self.description.least_length
        return _LEAST_LENGTHS.get(self.identity, 0.0) if least is msgspec.UNSET else least


def models_folder() -> Path:
    """The shipped models: inside an installed package, or beside it in a checkout."""
    here = Path(__file__).resolve().parent.parent
    installed = here / "models"
    return installed if installed.is_dir() else here.parent / "models"


def model_called(name: str) -> ShippedModel | None:
    """The shipped model of this name; None for anything else."""
    return next((one for one in SHIPPED_MODELS if one.name == name), None)


def model_path(model: str | Path | None) -> Path:
    """The file of a model, given by a shipped one's name or by a path; None is the default."""
    shipped = model_called(DEFAULT_MODEL if model is None else str(model))
    return Path(model or "") if shipped is None else models_folder() / f"{shipped.file}.tflite"


def default_model_path() -> Path:
    """The network used when no `--model` is given and none was chosen."""
    return model_path(None)


def shipped_with(identity: str) -> ShippedModel | None:
    """The shipped model whose embeddings have this identity; None for another's."""
    for one in SHIPPED_MODELS:
        path = model_path(one.name)
        with suppress(OSError, ModelError), path.open("rb") as file:
            if read_description(file, path).identity == identity:
                return one
    return None


def shipped_network(name: str, sha256: str) -> NetworkFile:
    """A network that belongs to this version, open; ModelError unless its bytes are right."""
    path = models_folder() / name
    try:
        file = NetworkFile(path)
        with open(file.handle, "rb", closefd=False) as opened:
            intact = hashlib.sha256(opened.read()).hexdigest() == sha256
    except OSError:
        intact = False
    if not intact:
        raise ModelError(f"the model file {path} is missing or damaged; install edgeface again")
    return file


def load_model(path: str | Path | None = None) -> Model:
    """Read a model's description and check its network against it; `path` may be the name of a
    shipped model.

    Raises ModelError if the file is missing, cut short, changed, or not described.
    """
    return PendingModel(path).checked()


class PendingModel:
    """As `load_model`, the network's bytes checked by a thread of its own (20 ms and more).

    Nothing may open the network before `checked` has returned. Both raise ModelError.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._path = model_path(path)
        try:
            self._file = NetworkFile(self._path)
            with open(self._file.handle, "rb", closefd=False) as file:
                self._description = read_description(file, self._path)
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            names = ", ".join(one.name for one in SHIPPED_MODELS)
            raise ModelError(
                f"there is no model file {self._path}; check --model, which takes a .tflite file "
                f"or a name: {names}"
            ) from None
        except OSError as error:
            raise ModelError(f"cannot read the model file {self._path}: {error.strerror}") from None
        self._digest = self._file_digest = ""
        self._hashing = Worker("digest", lambda stopping: self._hash())

    def _hash(self) -> None:
        size = self._description.network_bytes
        with self._data, memoryview(self._data) as view, view[:size] as head, view[size:] as rest:
            seen = hashlib.sha256(head)
            self._digest = seen.hexdigest()
            seen.update(rest)
            self._file_digest = seen.hexdigest()

    def checked(self) -> Model:
        """The model, once its bytes were found to be those described."""
        self._hashing.close(_SLOWEST_DIGEST)
        if self._digest != self._description.network_sha256:
            raise ModelError(
                f"the model file {self._path} is damaged (its network changed); copy it again"
            )
        identity = self._description.identity
        return Model(self._path, self._description, identity, self._file_digest, self._file)


def read_description(file: BinaryIO, path: Path) -> Description:
    """The description inside an open model file; ModelError when it has none or a wrong one."""
    if file.read(8)[4:] != _TFLITE_MAGIC:
        raise ModelError(f"{path} is not a TFLite model; give --model a .tflite file")
    # An archive's index is read whole and may be as large as the file: only the end is looked at.
    file.seek(max(0, file.seek(0, os.SEEK_END) - _LARGEST_DESCRIPTION))
    try:
        with (
            zipfile.ZipFile(io.BytesIO(file.read(_LARGEST_DESCRIPTION))) as archive,
            archive.open(_described(archive)) as packed,
        ):
            text = packed.read(_LARGEST_DESCRIPTION + 1)
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError):
        raise ModelError(
            f"the model file {path} is cut short or carries no description; copy it again, "
            "or add one with: convert-model describe"
        ) from None
    if len(text) > _LARGEST_DESCRIPTION:
        raise ModelError(
            f"the description in the model file {path} is larger than "
            f"{_LARGEST_DESCRIPTION >> 20} MB; use another copy"
        )
    try:
        description = msgspec.json.decode(text, type=Description)
    except msgspec.DecodeError as error:
        raise ModelError(
            f"the description in the model file {path} cannot be used ({error}); "
            "convert the model again with this version's convert-model"
        ) from None
    if description.format != DESCRIPTION_FORMAT:
        raise ModelError(
            f"the model file {path} has description format {description.format}, this version "
            f"reads {DESCRIPTION_FORMAT}; convert the model again"
        )
    return description


def _described(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The archive's entry for the description; KeyError where there is none that can be read."""
    entry = archive.getinfo(DESCRIPTION_NAME)
    encrypted = entry.flag_bits & 1
    if encrypted or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise KeyError(DESCRIPTION_NAME)
    return entry


def describe(network: bytes, description: Description) -> bytes:
    """A model file's bytes: `network` (a bare flatbuffer) with `description` appended.

    The description's `network_bytes` and `network_sha256` are filled in here. Equal arguments give
    equal bytes.
    """
    description = msgspec.structs.replace(
        description,
        network_bytes=len(network),
        network_sha256=hashlib.sha256(network).hexdigest(),
    )
    buffer = io.BytesIO()
    buffer.write(network)
    entry = zipfile.ZipInfo(DESCRIPTION_NAME, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry, msgspec.json.format(msgspec.json.encode(description), indent=1))
    return buffer.getvalue()
