"""Measures what a conversion cost: the content of report.json and report.html.

Takes in a source and its converted model, hands on a `Report`, from which alone both files are
made. The only faces it shows are the portraits that ship with EdgeFace: photos used for calibration
or measurement do not leave their folder.
"""

from __future__ import annotations

import base64
import itertools
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import cv2
import msgspec
import numpy as np

import edgeface
from edgeface.bench.evaluate import Evaluation, evaluate
from edgeface.demo.decisions import PORTRAITS
from edgeface.pipeline.align import Aligner
from edgeface.pipeline.model_file import Description, describe
from edgeface.pipeline.pictures import Picture, read_picture
from edgeface.pipeline.pipeline import FacePipeline
from edgeface.pipeline.runtime import installed_runtimes
from edgeface_tools.convert import Converted
from edgeface_tools.people.curves import curve
from edgeface_tools.people.embed import Embeddings, embed, pixels
from edgeface_tools.people.labelled import Labelled, by_folder
from edgeface_tools.people.overlap import people_in_both
from edgeface_tools.people.population import centred, without_population
from edgeface_tools.progress import bar
from edgeface_tools.quantize.quantize import CALIBRATED
from edgeface_tools.quantize.sqnr import layer_noise
from edgeface_tools.report import html as report_html
from edgeface_tools.report.contents import (
    Accuracy,
    CalibrationFaces,
    LabelledAccuracy,
    Parity,
    PortraitPair,
    Report,
    Skipped,
    Timed,
)
from edgeface_tools.report.trial import runtimes_of, try_out
from edgeface_tools.source.load import Loaded
from edgeface_tools.tflite import inspection
from edgeface_tools.tflite.cost import cost
from edgeface_tools.tflite.inspection import Inspection

REPORT_FORMAT = 1
_NOISE_FACES = 8
_TIMED_FACES = 8
_SHOWN = ("obama.jpg", "collins.jpg", "biden.jpg")
_SHOWN_SIDE = 160  # pixels
_COSINE_BINS = 40


def report(
    loaded: Loaded,
    converted: Converted,
    output: Path,
    command: str,
    now: datetime,
    pythons: Iterable[Path] = (),
) -> Report:
    """Measure the model that `command` wrote to `output` against its float network."""
    about = converted.description
    plain = without_population(about)
    floating = msgspec.structs.replace(plain, precision="float32")
    named = converted.labelled or by_folder(converted.faces.crops, converted.faces.used)
    crops = named.crops if named is not None else converted.faces.crops
    with bar("float and quantized", 2 * len(crops)) as progress:
        exact = embed(loaded.network, floating, crops, progress)
        found = embed(converted.network, plain, crops, progress)
    people = None
    if named is not None:
        what = "the folders of the calibration photos"
        if converted.labelled and about.scores:
            what = about.scores.measured_on
        people = _people(named, exact, found, converted, what)
    noise_faces = converted.faces.crops[:: max(1, len(converted.faces.crops) // _NOISE_FACES)]
    noise_faces = noise_faces[:_NOISE_FACES]
    with bar("noise of each layer", len(noise_faces)) as progress:
        noise = layer_noise(loaded.network, converted.network, noise_faces, loaded.input, progress)
    return Report(
        format=REPORT_FORMAT,
        name=about.name,
        tool=about.tool,
        made=now.strftime("%Y-%m-%d %H:%M UTC"),
        command=command,
        edgeface=edgeface.__version__,
        float_bytes=len(loaded.network),
        cost=cost(loaded.network, converted.network),
        inspection=_without_path(inspection.inspect(output), output),
        calibration=CalibrationFaces(
            converted.calibrated,
            converted.faces_from,
            len(converted.faces.used),
            [Skipped(path.name, why) for path, why in converted.faces.skipped],
        ),
        noise=noise,
        noise_faces=len(noise_faces),
        agreement=converted.agreement,
        widened=converted.widened,
        inputs=converted.inputs,
        parity=_parity(exact, found, _what(converted)),
        people=people,
        latency=_latency(loaded.network, floating, output, about.precision, crops, pythons),
        samples=_samples(about),
    )


def place_beside(output: Path) -> Path:
    """The page for the model at `output`: report.html, or another name where that is taken.

    The report of another model, or a file that is no report, is never overwritten.
    """
    first = ("report", f"{output.stem}.report", f"{output.name}.report")
    more = (f"{output.name}.report-{number}" for number in itertools.count(2))
    pages = (output.with_name(f"{name}.html") for name in itertools.chain(first, more))
    return next(page for page in pages if _is_free(page, output.name))


def _is_free(page: Path, model: str) -> bool:
    """Whether nothing lies at a page's place, or an earlier report on the same model."""
    data = page.with_suffix(".json")
    if not data.exists() and not page.exists():
        return True
    try:
        about = msgspec.json.decode(data.read_bytes())["inspection"]["path"]
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return False
    return bool(about == model)


def as_json(found: Report) -> bytes:
    """The bytes of report.json."""
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def as_html(found: Report) -> bytes:
    """The bytes of report.html: one file, without scripts, that loads nothing."""
    return report_html.page(found).encode()


def _what(converted: Converted) -> str:
    return "the labelled faces" if converted.labelled else converted.faces_from


def _without_path(found: Inspection, output: Path) -> Inspection:
    return msgspec.structs.replace(found, path=output.name)


def _parity(exact: Embeddings, found: Embeddings, what: str) -> Parity:
    cosines = np.einsum("ij,ij->i", exact, found, dtype=np.float64)
    low = min(0.99, float(np.floor(cosines.min() * 100) / 100))
    counts, edges = np.histogram(cosines.clip(low, 1), _COSINE_BINS, (low, 1))
    return Parity(
        what=what,
        faces=len(cosines),
        median=round(float(np.median(cosines)), 5),
        percentile_1=round(float(np.percentile(cosines, 1)), 5),
        least=round(float(cosines.min()), 5),
        edges=edges.round(6).tolist(),
        shares=(counts / len(cosines)).round(5).tolist(),
    )


def _people(
    named: Labelled, exact: Embeddings, found: Embeddings, converted: Converted, what: str
) -> LabelledAccuracy:
    about = converted.description
    centre = about.embedding.centre
    if centre is not None:
        exact, found = centred(exact, centre), centred(found, centre)
    kinds = {"float32": exact, about.precision: found, "pixels": pixels(named.crops)}
    if about.precision == "float32":
        kinds = {"float32": found, "pixels": kinds["pixels"]}
    with bar("all pairs", len(kinds)) as progress:
        curves = []
        for kind, rows in kinds.items():
            curves.append(curve(kind, rows, named.people))
            progress()
    numbers = np.unique(named.people, return_counts=True)[1]
    genuine = int((numbers * (numbers - 1) // 2).sum())
    faces = len(named.people)
    listed = []
    for kind, rows in kinds.items() if named.pairs else ():
        known = dict(zip(named.pictures, rows, strict=True))
        missing = dict.fromkeys(path for path, _ in named.skipped)
        listed.append(_accuracy(kind, evaluate(list(named.pairs), {**missing, **known})))
    return LabelledAccuracy(
        what=what,
        own=converted.labelled is None,
        people=len(numbers),
        calibrated_on=_calibrated_on(named, converted),
        faces=faces,
        skipped=[Skipped(str(path), why) for path, why in named.skipped],
        genuine_pairs=genuine,
        impostor_pairs=faces * (faces - 1) // 2 - genuine,
        curves=curves,
        listed=listed,
    )


def _calibrated_on(named: Labelled, converted: Converted) -> int | None:
    """How many of the people measured on are also among those calibrated on."""
    if converted.description.precision not in CALIBRATED:
        return 0
    if not converted.calibrated:
        return None
    people = len(set(named.people))
    if converted.labelled is None:
        return people
    with bar("people in both sets", people) as progress:
        return len(people_in_both(converted.faces, named, progress))


def _accuracy(what: str, found: Evaluation) -> Accuracy:
    return Accuracy(
        what,
        found.pairs,
        round(found.accuracy, 5),
        round(found.accuracy_std, 5),
        round(found.eer, 5),
        {far: round(share, 5) for far, share in found.tar.items()},
    )


def _latency(
    network: bytes,
    floating: Description,
    output: Path,
    precision: str,
    crops: np.ndarray,
    pythons: Iterable[Path],
) -> list[Timed]:
    places: list[tuple[str, Path | None]] = [(name, None) for name in installed_runtimes()]
    places += [(name, python) for python in pythons for name in runtimes_of(python)]
    timed = []
    with tempfile.TemporaryDirectory() as scratch, bar("timing", 2 * len(places)) as progress:
        exact = Path(scratch) / "float32.tflite"
        exact.write_bytes(describe(network, floating))
        for runtime, python in places:
            for kind, path in (("float32", exact), (precision, output)):
                trial, _ = try_out(path, crops[:_TIMED_FACES], runtime, python)
                if kind != "float32" or path == exact:
                    timed.append(Timed(kind, trial))
                progress()
    return timed


def _samples(about: Description) -> list[PortraitPair]:
    pipeline = FacePipeline()
    aligner = Aligner(about.alignment, about.input.size)
    found = []
    for name in _SHOWN:
        frame = read_picture(PORTRAITS / name)
        crop = aligner.align(frame, pipeline.main_face(frame))
        scale = _SHOWN_SIDE / min(frame.shape[:2])
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found.append(PortraitPair(name, _data_uri(small.astype(np.uint8)), _data_uri(crop)))
    return found


def _data_uri(picture: Picture) -> str:
    content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
