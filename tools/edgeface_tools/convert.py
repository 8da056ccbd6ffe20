"""From a source to a described model: the steps of the conversion, in order.

    source ──► float .tflite ──► observations ──► quantized .tflite ──► comparison with the source
           ──► scores ──► description

Takes in what the command line asks for, hands on a `Converted`; knows the defaults for FaceNet. It
writes no file and never prompts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgeface.demo.decisions import PORTRAITS
from edgeface.errors import ConfigError, ModelError
from edgeface.pipeline.model_file import (
    AlignmentSpec,
    Description,
    EmbeddingSpec,
    ScoreTable,
    describe,
)
from edgeface_tools.people import agreement as comparing
from edgeface_tools.people import labelled as labels
from edgeface_tools.people import population as populations
from edgeface_tools.people.agreement import Agreement
from edgeface_tools.people.curves import curve
from edgeface_tools.people.embed import embed, embed_and_measure
from edgeface_tools.people.faces import Faces, check_enough, cut_faces, people_in, pictures_in
from edgeface_tools.people.guess import guessed_table
from edgeface_tools.people.inputs import Inputs, try_inputs, ways
from edgeface_tools.people.labelled import Labelled, Wanted
from edgeface_tools.people.population import Population
from edgeface_tools.progress import bar
from edgeface_tools.quantize import calibrate as calibrating
from edgeface_tools.quantize.calibrate import Calibration, calibrate
from edgeface_tools.quantize.quantize import CALIBRATED, Ends, Precision, quantize
from edgeface_tools.quantize.sqnr import layer_noise
from edgeface_tools.quantize.widening import Widened, widened
from edgeface_tools.source.load import Loaded
from edgeface_tools.tflite.flatbuffer import unpack
from edgeface_tools.tflite.operators import minimum_runtime, needs, too_new

TOOL = "convert-model 1"
"""Increased when the same source gives other bytes; not with every release."""

# The common 112 x 112 template of eyes and mouth corners' centre, enlarged 1.05 times about the
# picture's centre: best on LFW View 1 train of 1.00, 1.05 and 1.10 (with 1.10 the tail at a FAR of
# 1e-5 is worse, with 1.00 accuracy is).
TEMPLATE = AlignmentSpec(
    right_eye=(0.33397, 0.45969), left_eye=(0.66434, 0.45781), mouth=(0.50131, 0.84022)
)
_COMPARED, _NOISE_FACES = 48, 8
PORTRAIT_FACES = "the portraits that ship with EdgeFace"


@dataclass(frozen=True)
class ConversionOptions:
    """What the command line asks for in addition to the source."""

    precision: Precision = "int8"
    ends: Ends = "int8"
    name: str | None = None
    calibrate: Path | None = None
    observations: Path | None = None
    population: Path | None = None
    labelled: Wanted | None = None
    measured_on: str | None = None
    max_drop: float | None = None
    """Percentage points of TAR at `at_far` that quantization may cost on the labelled faces."""
    at_far: float = 1e-3


@dataclass(frozen=True, eq=False)
class Converted:
    """A described model and what it was made from."""

    network: bytes
    description: Description
    faces: Faces
    """The calibration faces; the shipped portraits where there were no photos."""
    faces_from: str
    labelled: Labelled | None
    agreement: Agreement
    """With the source in its own framework."""
    calibrated: bool = False
    """Whether the network was calibrated on `faces`, not on numbers from a file."""
    widened: Widened | None = None
    """What was left in float to hold the limit, where one was given."""
    inputs: Inputs | None = None
    """How well other ways to give the pixels separate the labelled faces."""


def convert(loaded: Loaded, options: ConversionOptions) -> Converted:
    """Quantize, check against the oldest runtime, and describe."""
    if options.calibrate and options.observations:
        raise ConfigError("give --calibrate or --observations, not both")
    faces = calibration_faces(loaded, options.calibrate)
    observations = None
    if options.precision in CALIBRATED:
        observations = _observations(loaded, options, faces)
    with bar("quantizing", 1) as progress:
        network = quantize(
            loaded.network, options.precision, observations, options.ends, _wide(loaded, options)
        )
        progress()
    people, wide = None, None
    if options.max_drop is not None:
        about = _plain(loaded, options, network)
        people = cut_people(_labelled_for(options), about)
        network, wide = _widen(loaded, options, observations, about, people)
    plain = _plain(loaded, options, network)
    seen = origin(loaded, options.calibrate)
    from_faces = options.observations is None and (options.calibrate or not loaded.recorded)
    calibrated = observations is not None and bool(from_faces)
    if faces is None:
        faces, seen = _portraits(loaded), PORTRAIT_FACES
    agreement = compare(loaded, network, plain, faces)
    if people is None and options.labelled:
        people = cut_people(options.labelled, plain)
    inputs = None
    if people is not None:
        inputs = _inputs(loaded, people)
        what = options.measured_on or (options.labelled.folder.name if options.labelled else "")
        description = populations.with_population(plain, measure(network, plain, people, what))
    elif options.population:
        description = with_file(plain, options.population)
    elif loaded.recorded:
        description = _with_recorded(plain, loaded.recorded.population)
    else:
        scores = _guessed(network, plain, faces, seen)
        description = msgspec.structs.replace(plain, scores=scores)
    return Converted(network, description, faces, seen, people, agreement, calibrated, wide, inputs)


def _plain(loaded: Loaded, options: ConversionOptions, network: bytes) -> Description:
    """The description of a network before anything was measured with it.

    ModelError where the oldest supported runtime cannot run it.
    """
    found = needs(unpack(network))
    if lacking := too_new(found):
        raise ModelError(
            f"the oldest supported runtime lacks {', '.join(map(str, lacking))}; nothing written: "
            "build the network without these, or try --precision float32"
        )
    return Description(
        format=1,
        name=options.name or loaded.name,
        precision=options.precision,
        network_bytes=len(network),
        network_sha256=hashlib.sha256(network).hexdigest(),
        input=loaded.input,
        alignment=loaded.alignment or TEMPLATE,
        embedding=EmbeddingSpec(loaded.embedding_size),
        scores=None,
        source=loaded.source,
        tool=TOOL,
        minimum_runtime=minimum_runtime(found),
    )


def _wide(loaded: Loaded, options: ConversionOptions) -> tuple[str, ...]:
    """What is left in float without having been asked for; 16 bits lose too little for that."""
    return loaded.wide if options.precision == "int8" else ()


def _inputs(loaded: Loaded, people: Labelled) -> Inputs | None:
    """What other normalizations and colour orders give; None for a pinned network."""
    if loaded.recorded:
        return None
    with bar("trying normalizations", ways(loaded.declared)) as progress:
        return try_inputs(
            loaded.network,
            loaded.input,
            loaded.takes.colour,
            people,
            declared=loaded.declared,
            progress=progress,
        )


def _labelled_for(options: ConversionOptions) -> Wanted:
    if options.labelled is None:
        raise ConfigError("--max-drop is measured on labelled faces; give --labelled or --pairs")
    if options.precision not in CALIBRATED:
        raise ConfigError(f"--max-drop is for {' and '.join(CALIBRATED)}")
    return options.labelled


def _widen(
    loaded: Loaded,
    options: ConversionOptions,
    observations: Calibration | None,
    about: Description,
    people: Labelled,
) -> tuple[bytes, Widened]:
    """The network that holds --max-drop, the noisiest layers left in float."""
    far, exact = options.at_far, msgspec.structs.replace(about, precision="float32")

    def made(layers: Sequence[str]) -> bytes:
        wide = [*_wide(loaded, options), *layers]
        return quantize(loaded.network, options.precision, observations, options.ends, wide)

    def tar(network: bytes, description: Description = about) -> float:
        with bar("measuring", len(people.crops)) as progress:
            rows = embed(network, description, people.crops, progress)
        rates = curve("", rows, people.people).tar
        if f"{far:g}" not in rates:
            known = ", ".join(rates) or "none"
            raise ConfigError(
                f"the labelled faces give too few pairs for a FAR of {far:g} (ten impostor pairs "
                f"must lie above it); they allow --at-far: {known}"
            )
        return rates[f"{far:g}"]

    float_tar = tar(loaded.network, exact)
    few = people.crops[:: max(1, len(people.crops) // _NOISE_FACES)][:_NOISE_FACES]
    noise = layer_noise(loaded.network, made(()), few, loaded.input)
    return widened(made, noise, tar, float_tar, far, options.max_drop or 0.0)


def calibration_faces(loaded: Loaded, folder: Path | None) -> Faces | None:
    """Aligned faces of `folder`, or of the source's own pictures; None where there are none."""
    checked = folder is not None
    folder = folder or loaded.pictures
    if folder is None:
        return None
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; check --calibrate")
    faces = _cut(pictures_in(folder), loaded)
    if checked:
        check_enough(faces, folder)
    return faces


def calibration_of(loaded: Loaded, faces: Faces, measured_on: str) -> Calibration:
    """What quantization needs to know, measured on `faces`."""
    with bar("calibrating", len(faces.crops)) as progress:
        return calibrate(loaded.network, faces.crops, loaded.input, measured_on, progress)


def compare(loaded: Loaded, network: bytes, plain: Description, faces: Faces) -> Agreement:
    """The network's embeddings of calibration faces against its own framework's.

    Through the runtime's encoder and the description, as a device would compute them. ModelError
    where they disagree.
    """
    if loaded.opened is None:
        return comparing.not_compared(loaded.unopened)
    crops = faces.crops[:: max(1, len(faces.crops) // _COMPARED)][:_COMPARED]
    exact = msgspec.structs.replace(plain, precision="float32")
    with bar("comparing with the source", 2 * len(crops) + 1) as progress:
        wanted = loaded.opened.embeddings(crops, loaded.takes)
        progress()
        read = embed(loaded.network, exact, crops, progress)
        found = embed(network, plain, crops, progress)
    return comparing.agreement(loaded.opened.framework, wanted, read, found)


def cut_people(source: Wanted, about: Description) -> Labelled:
    """Labelled faces, aligned for a model, with a progress bar."""
    with bar("cutting labelled faces", len(source.pictures)) as progress:
        return labels.cut_labelled(source, about.alignment, about.input.size, progress)


def measure(network: bytes, plain: Description, people: Labelled, measured_on: str) -> Population:
    """The centre and score table of a network on labelled faces."""
    plain = populations.without_population(plain)
    with bar("scoring", len(people.crops)) as progress:
        embeddings, lengths = embed_and_measure(network, plain, people.crops, progress)
    return populations.measure(plain, embeddings, people.people, measured_on, lengths)


def with_file(plain: Description, path: Path) -> Description:
    """The description with the numbers of a population file, measured with this network."""
    numbers = populations.load(path)
    populations.check_same_model(numbers, plain, path)
    return populations.with_population(plain, numbers)


def described(converted: Converted) -> bytes:
    """The model file's bytes."""
    return describe(converted.network, converted.description)


def _observations(loaded: Loaded, options: ConversionOptions, faces: Faces | None) -> Calibration:
    if options.observations:
        return calibrating.load(options.observations)
    if options.calibrate is None and loaded.recorded:
        return calibrating.load(loaded.recorded.observations)
    if faces is None:
        raise ConfigError(
            f"{options.precision} needs photos of faces to calibrate on; give --calibrate FOLDER"
        )
    return calibration_of(loaded, faces, origin(loaded, options.calibrate))


def _with_recorded(plain: Description, path: Path) -> Description:
    """The numbers recorded for the shipped model, for its network in any precision."""
    numbers = populations.load(path)
    if numbers.measured_with != populations.without_population(plain).identity:
        measured_on = f"{numbers.scores.measured_on}, with the shipped int8 model"
        scores = msgspec.structs.replace(numbers.scores, measured_on=measured_on)
        numbers = msgspec.structs.replace(numbers, scores=scores)
    return populations.with_population(plain, numbers)


def _guessed(network: bytes, plain: Description, faces: Faces, seen: str) -> ScoreTable | None:
    people = people_in(faces)
    if len(np.unique(people)) < 2:
        return None
    with bar("estimating scores", len(faces.crops)) as progress:
        embeddings = embed(network, plain, faces.crops, progress)
    return guessed_table(embeddings, people.tolist(), seen)


def _portraits(loaded: Loaded) -> Faces:
    return _cut(pictures_in(PORTRAITS), loaded)


def _cut(pictures: list[Path], loaded: Loaded) -> Faces:
    with bar("cutting faces", len(pictures)) as progress:
        return cut_faces(pictures, loaded.alignment or TEMPLATE, loaded.input.size, progress)


def origin(loaded: Loaded, calibrate: Path | None) -> str:
    """The name of the calibration faces, to be recorded."""
    return calibrate.name if calibrate else f"the pictures that come with {loaded.name}"
