"""Loads a source, recognized by its content, into one common form.

Takes in what the command line names, hands on a `Loaded`: the float32 network, its input's
description, and the source as its own framework opens it, to be compared with. File names and
extensions decide nothing. It quantizes nothing.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgeface.errors import ConfigError, ModelError
from edgeface.pipeline.model_file import AlignmentSpec, InputSpec, Source, models_folder
from edgeface.system.chatter import overheard
from edgeface_tools.network.graph import Graph, Unsupported
from edgeface_tools.network.rewrite import simplify, swap_colours
from edgeface_tools.network.to_tflite import float_tflite
from edgeface_tools.source import sface
from edgeface_tools.source.architectures import ARCHITECTURES
from edgeface_tools.source.fetch import WEIGHTS_SHA256, Fetched, fetch_facenet, sha256_of
from edgeface_tools.source.framework import Opened, open_keras
from edgeface_tools.source.hdf5 import opened
from edgeface_tools.source.keras2 import read_legacy_h5
from edgeface_tools.source.keras3 import CONFIG, WEIGHTS, read_keras
from edgeface_tools.source.normalization import Colour, Takes, ready, wanted_normalization
from edgeface_tools.source.onnx import read_onnx
from edgeface_tools.source.saved_model import open_frozen, open_saved_model, saved_model_in
from edgeface_tools.source.weights import read_openface_csv, read_weights_h5
from edgeface_tools.tflite.cleaning import cleaned
from edgeface_tools.tflite.flatbuffer import ends, unpack
from edgeface_tools.tflite.preprocessing import Leading

FACENET = "facenet"
"""The name that stands for the pinned FaceNet in place of a path."""

_OPENFACE = "nn4_small2"
_PINNED_NAMES = {WEIGHTS_SHA256: FACENET, sface.ONNX_SHA256: sface.NAME}
_LIKE_FACENET = InputSpec(0, "rgb", "per-image")
_HDF5, _ZIP, _TFLITE = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"TFL3"
_ONNX_FIELDS = (b"\x12", b"\x1a", b"\x22", b"\x28", b"\x32", b"\x3a", b"\x42")
_PINNED = "it is the pinned FaceNet, whose conversion the project's own tests compare"
_ONNX_ONLY = "no framework that runs ONNX files is installed"
_WEIGHTS_ONLY = "it holds only weights, so no framework can run it by itself"
_LFS = b"version https://git-lfs"
_GIVE = (
    "give a Keras .h5 or .keras file, a SavedModel folder, a frozen .pb, an .onnx file or a folder "
    "of OpenFace's CSV files"
)


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
    takes: Takes
    """The input of the source itself, before anything was moved into weights or description."""
    opened: Opened | None = None
    """The source in its own framework; None where `unopened` says why not."""
    unopened: str = ""
    notes: tuple[str, ...] = ()
    """What was found out about the source, for the person who converts it."""
    pictures: Path | None = None
    """Pictures that come with the source, for calibration."""
    declared: bool = False
    """Whether the source itself says what pixels it takes, or they were given by channel."""
    recorded: Recorded | None = None
    alignment: AlignmentSpec | None = None
    """None: by three points, as FaceNet."""
    wide: tuple[str, ...] = ()
    """The tensors that int8 leaves to float operators."""


@dataclass(frozen=True, eq=False)
class _Read:
    """What a reader made of a path; `network` is a graph of ours, or TensorFlow's conversion."""

    network: Graph | bytes
    opened: Opened | None = None
    unopened: str = ""
    architecture: str | None = None
    notes: tuple[str, ...] = ()
    first: Leading | None = None
    """What the source does to its pixels first, where its conversion may hide it."""


def load_source(
    source: str,
    architecture: str | None = None,
    colour: Colour | None = None,
    normalization: str | None = None,
    layer: str | None = None,
    size: int | None = None,
) -> Loaded:
    """Read a source: a path, or `facenet` or `sface` for a pinned one.

    `architecture` names the network of a file that has only weights. `colour` and `normalization`
    say how the network was trained; None means as its architecture was, otherwise as FaceNet was.
    `layer` names the layer that gives the embedding, `size` the side of the pictures where the
    network takes any. Raises ConfigError or ModelError for what cannot be read or used.
    """
    wanted = wanted_normalization(normalization) if normalization else None
    fetched: Fetched | None = fetch_facenet() if source == FACENET else None
    path = fetched.weights if fetched else _path(source)
    read = _read(path, architecture, layer, size)
    known = read.architecture
    spec = ARCHITECTURES[known].input if known else _LIKE_FACENET
    if colour is not None:
        spec = msgspec.structs.replace(spec, colour=colour)
    network, notes = read.network, list(read.notes)
    stored = spec.colour
    if isinstance(network, Graph):
        network = simplify(network)
        # Swapped once in the weights rather than in every picture, which comes as BGR.
        swapped = swap_colours(network) if spec.colour == "rgb" else None
        if swapped is not None:
            network, stored = swapped, "bgr"
        network = float_tflite(network)
    takes_pixels = read.opened is not None and read.opened.takes_whole_numbers
    prepared = ready(
        network,
        spec,
        wanted,
        path,
        swapped=stored != spec.colour,
        pixels=takes_pixels,
        first=read.first,
    )
    notes += prepared.notes
    side, numbers = picture_and_numbers(prepared.network, path)
    origin = Source(path.name, _digest(path))
    pinned = _PINNED_NAMES.get(origin.sha256)
    of_sface = pinned == sface.NAME
    return Loaded(
        name=pinned or path.stem.removesuffix(".weights"),
        source=origin,
        network=prepared.network,
        input=msgspec.structs.replace(prepared.input, size=side, colour=stored),
        embedding_size=numbers,
        takes=prepared.takes,
        opened=read.opened,
        unopened=read.unopened,
        notes=tuple(notes),
        pictures=fetched.pictures if fetched else None,
        declared=prepared.declared or takes_pixels or len(prepared.takes.mean) > 1,
        recorded=_recorded(pinned) if pinned else None,
        alignment=sface.FIVE_POINTS if of_sface else None,
        wide=sface.WIDE if of_sface else (),
    )


def _path(source: str) -> Path:
    return sface.fetch_sface() if source == sface.NAME else Path(source)


def read_graph(path: Path, architecture: str | None) -> Graph:
    """The network as data, by content; ModelError where only its own framework can express it."""
    if path.is_dir() and saved_model_in(path) is None:
        return read_openface_csv(path)
    start = _start_of(path) if path.is_file() else b""
    if start.startswith(_ZIP):
        _refuse_architecture(architecture, path)
        _check_keras_zip(path)
        return read_keras(path)
    if start.startswith(_HDF5):
        return read_weights_h5(path, architecture) if architecture else read_legacy_h5(path)
    if _is_onnx(start):
        _refuse_architecture(architecture, path)
        return read_onnx(path)
    if path.is_file():
        _refuse_by_content(path, start)
    raise ModelError(
        f"{path} is a TensorFlow graph, which is not trained; give the Keras file it was made from"
    )


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


def _read(path: Path, architecture: str | None, output: str | None, size: int | None) -> _Read:
    if path.is_dir():
        return _read_folder(path, architecture, output, size)
    start = _start_of(path)
    if start.startswith(_ZIP):
        _refuse_architecture(architecture, path)
        _check_keras_zip(path)
        return _read_keras(path, output, read_keras)
    if start.startswith(_HDF5):
        if architecture is None:
            return _read_keras(path, output, read_legacy_h5)
        with opened(path) as file:
            whole = "model_config" in file.attrs
        if whole:
            _refuse_architecture(architecture, path)
        network = read_weights_h5(path, architecture)
        return _Read(network, unopened=_WEIGHTS_ONLY, architecture=architecture)
    _refuse_by_content(path, start)
    _refuse_architecture(architecture, path)
    if _is_onnx(start):
        return _read_onnx(path, output)
    return _by_tensorflow(open_frozen(path, output, size), path)


def _read_keras(path: Path, output: str | None, read: Callable[[Path], Graph]) -> _Read:
    """By our own reader, else as Keras itself converts it; opened by Keras for the comparison."""
    refusal: ModelError | None = None
    network: Graph | None = None
    if output is None:
        try:
            network = read(path)
        except Unsupported as error:
            refusal = error
    if network is not None and _is_pinned(path):
        return _Read(network, unopened=_PINNED)
    try:
        by_keras = open_keras(path, output)
    except ModelError as error:
        if network is not None:
            return _Read(network, unopened=str(error))
        reason = refusal or error
        raise type(reason)(_with_way(str(reason), error)) from None
    if network is not None:
        return _Read(network, by_keras)
    return _by_tensorflow(by_keras, path)


def _read_onnx(path: Path, output: str | None) -> _Read:
    if output is not None:
        raise ConfigError(f"{path} is an ONNX file, which is read as a whole; leave --layer out")
    network = read_onnx(path)
    return _Read(network, unopened=_ONNX_ONLY)


def _with_way(reason: str, error: ModelError) -> str:
    """What is refused and why Keras cannot help, in one sentence with a way on."""
    if "--layer" in reason or "--architecture" in reason:
        return reason
    if "--layer" in str(error):
        return str(error)
    because = "" if str(error) == reason else f" (and {error})"
    return f"{reason}{because}; save it with model.export('folder') and give that folder"


def _by_tensorflow(network: Opened, path: Path) -> _Read:
    with overheard():
        try:
            converted, first = network.tflite()
        except Exception as error:  # TensorFlow may raise anything
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"TensorFlow cannot convert {path} ({reason[:200]}); save the model as .keras and "
                "give that, or build it of layers that TFLite has"
            ) from None
    notes: tuple[str, ...] = (f"converted by {network.framework}",)
    if network.batch not in (None, 1):
        notes += (
            f"the network takes {network.batch} pictures at once, so each face is computed "
            f"{network.batch} times; save it with a batch of None to avoid that",
        )
    return _Read(cleaned(converted, path), network, notes=notes, first=first)


def _read_folder(
    path: Path, architecture: str | None, output: str | None, size: int | None
) -> _Read:
    saved = saved_model_in(path)
    if saved is not None:
        _refuse_architecture(architecture, path)
        return _by_tensorflow(open_saved_model(saved, output, size), path)
    if (path / CONFIG).is_file() and (path / WEIGHTS).is_file():
        raise ModelError(
            f"{path} is an unpacked .keras file; pack it again, without the folder itself: "
            f"cd {path} && zip -r ../network.keras *"
        )
    if any(path.glob("*.meta")) or (path / "checkpoint").is_file():
        raise ModelError(
            f"the folder {path} holds a checkpoint of TensorFlow 1, weights without a network that "
            "is safe to run; freeze its graph and give the .pb"
        )
    if not any(path.glob("*.csv")):
        raise ModelError(
            f"the folder {path} is not a SavedModel and holds no CSV files; give a SavedModel "
            "folder or one of OpenFace's weights as CSV files"
        )
    if architecture not in (None, _OPENFACE):
        raise ConfigError(f"a folder of CSV files is read as {_OPENFACE}, not as {architecture}")
    network = read_openface_csv(path)
    return _Read(network, unopened=_WEIGHTS_ONLY, architecture=_OPENFACE)


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(512)
    except FileNotFoundError:
        raise ConfigError(
            f"there is no file {path}; give a Keras file or folder, or: {FACENET}"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def _refuse_by_content(path: Path, start: bytes) -> None:
    """ModelError for a file that is known to be something else, or nothing known."""
    text = start.lstrip().lower()
    if start[4:8] == _TFLITE:
        raise ModelError(
            f"{path} is a TFLite file already; describe it with: convert-model describe {path}"
        )
    if start.startswith(_LFS):
        raise ModelError(
            f"{path} is a Git LFS pointer, not the file itself; fetch it with: git lfs pull"
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ModelError(
            f"{path} is a web page, not a network: the download led to a page; save the file itself"
        )
    if start.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04")):
        raise ModelError(
            f"{path} is a pickle, which can hold code and is not read; save the network as .keras"
        )
    if not _may_be_graph(start) and not _is_onnx(start):
        raise ModelError(f"{path} is neither an HDF5 nor a .keras file, or is incomplete; {_GIVE}")


def _is_onnx(start: bytes) -> bool:
    """An ONNX file begins with its format's number, 3 or more, and another of its fields: most
    often the name of what wrote it."""
    return start[:1] == b"\x08" and 3 <= start[1] < 32 and start[2:3] in _ONNX_FIELDS


def _may_be_graph(start: bytes) -> bool:
    """A frozen graph is a list of nodes, each a name and an operation."""
    return start[:1] == b"\x0a" and b"\x0a" in start[1:8] and b"\x12" in start


def _check_keras_zip(path: Path) -> None:
    """ModelError for an archive that is not a .keras file, with what is in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return  # the reader says what is wrong
    if CONFIG in names:
        return
    inner = next((name for name in names if name.endswith((".keras", ".h5", ".pb", CONFIG))), None)
    if inner is not None:
        raise ModelError(f"{path} is a zip archive with {inner} in it; unpack it and give that")


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


def _is_pinned(path: Path) -> bool:
    return sha256_of(path) in _PINNED_NAMES


def _recorded(name: str) -> Recorded | None:
    recorded = Recorded(
        models_folder() / f"{name}-observations.json", models_folder() / f"{name}-population.json"
    )
    there = recorded.observations.is_file() and recorded.population.is_file()
    return recorded if there else None
