"""The contents of a model file, in words and as data.

Takes in a path, hands on an `Inspection`: the description if there is one, the operators with the
runtimes they need, and whether each supported runtime can open the file: by trying it where it is
installed, otherwise by the file's operators. It judges no accuracy.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import msgspec

from edgeface.errors import EdgeFaceError, ModelError
from edgeface.pipeline.model_file import (
    DESCRIPTION_NAME,
    AlignmentSpec,
    Description,
    InputSpec,
    load_model,
)
from edgeface.pipeline.runtime import choose_runtime, open_network
from edgeface_tools.tflite.flatbuffer import end_types, ends, pack, unpack
from edgeface_tools.tflite.operators import OLDEST_RUNTIME, minimum_runtime, needs, too_new


class OperatorCount(msgspec.Struct, frozen=True):
    """One line of the operator table."""

    name: str
    version: int
    count: int
    since: str | None
    """The TFLite release that introduced it; null when unknown."""


class Inspection(msgspec.Struct, frozen=True):
    """Everything `convert-model inspect` shows."""

    path: str
    bytes: int
    description: Description | None
    """None: the runtime refuses the file until convert-model describe has added one."""
    identity: str | None
    input_type: str
    output_type: str
    operators: list[OperatorCount]
    minimum_runtime: str
    runs_on: dict[str, str]
    """By runtime: "yes", or the reason why not."""


def inspect(path: Path) -> Inspection:
    """Inspect a model file, described or not; ModelError when it is not one."""
    network, about, identity = read_network(path)
    model = unpack(network)
    found = needs(model)
    source, target = end_types(model)
    lacking = too_new(found)
    by_operators = f"no: it lacks {', '.join(map(str, lacking))}" if lacking else "yes"
    runs_on = {"litert": "yes, by its operators"}
    runs_on[f"tflite-runtime {OLDEST_RUNTIME}"] = f"{by_operators} (by its operators)"
    here = choose_runtime()
    runs_on[here if here in runs_on else f"{here} {OLDEST_RUNTIME}"] = _opens(path)
    return Inspection(
        path=str(path),
        bytes=path.stat().st_size,
        description=about,
        identity=identity,
        input_type=source,
        output_type=target,
        operators=[OperatorCount(n.name, n.version, n.count, n.since) for n in found],
        minimum_runtime=minimum_runtime(found),
        runs_on=runs_on,
    )


def read_network(path: Path) -> tuple[bytes, Description | None, str | None]:
    """A file's bare flatbuffer, with its description and identity where it has one.

    ModelError for a file that is damaged or not a TFLite network.
    """
    if described := _is_described(path):
        about = load_model(path)
        network = path.read_bytes()[: about.description.network_bytes]
        return network, about.description, about.identity
    network = path.read_bytes()
    try:
        model = unpack(network)
        ends(model)
    except (struct.error, IndexError, ValueError, TypeError, AttributeError):
        raise ModelError(f"the model file {path} is damaged; copy it again") from None
    # Data appended by another tool would end up in the middle of the file.
    return (pack(model) if described is None else network), None, None


def _is_described(path: Path) -> bool | None:
    """True where a description is appended, None where something else is."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
        archive = zipfile.is_zipfile(path)
        if start[4:] != b"TFL3":
            load_model(path)  # raises the error
        if not archive:
            return False
        with zipfile.ZipFile(path) as parts:
            return True if DESCRIPTION_NAME in parts.namelist() else None
    except FileNotFoundError:
        raise ModelError(f"there is no model file {path}; check the path") from None
    except OSError as error:
        raise ModelError(f"cannot read the model file {path}: {error.strerror}") from None
    except zipfile.BadZipFile:
        raise ModelError(f"the model file {path} is damaged; copy it again") from None


def as_text(found: Inspection) -> str:
    """An inspection for a person."""
    about = found.description
    if about is None:
        lines = [
            f"{found.bytes / 1e6:.1f} MB, {found.path}",
            "description     none; add one with: convert-model describe",
        ]
    else:
        lines = [
            f"{about.name}, {about.precision}, {found.bytes / 1e6:.1f} MB, {found.path}",
            f"source          {about.source.name}, sha256 {about.source.sha256[:16]}",
            f"made by         {about.tool}",
            f"input           {about.input.size}x{about.input.size} {about.input.colour}, "
            f"{_normalization(about.input)}",
            f"alignment       {_alignment(about.alignment)}",
            f"embedding       {about.embedding.size} numbers, "
            f"{'centred' if about.embedding.centre else 'not centred'}",
            f"identity        {(found.identity or '')[:16]}",
        ]
    lines += [
        f"types           {found.input_type} in, {found.output_type} out",
        f"minimum runtime {found.minimum_runtime}",
    ]
    lines += [f"runs on         {runtime}: {answer}" for runtime, answer in found.runs_on.items()]
    lines += ["", "operator              version  count  since"]
    lines += [
        f"{o.name:<22}{o.version:>7}{o.count:>7}  {o.since or 'unknown'}" for o in found.operators
    ]
    if about is not None and about.scores is not None:
        lines += [
            "",
            f"scores on {about.scores.measured_on}: {about.scores.genuine_pairs} genuine and "
            f"{about.scores.impostor_pairs} impostor pairs",
            "    FAR   score",
        ]
        lines += [
            f"{point.far:>7.0e}   {point.score:.4f}{'' if point.supported else '  (a guess)'}"
            for point in about.scores.points
        ]
    return "\n".join(lines)


def _alignment(spec: AlignmentSpec) -> str:
    given = msgspec.structs.asdict(spec)
    return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in given.items() if v is not None)


def _normalization(spec: InputSpec) -> str:
    if spec.normalization == "per-image":
        return "standardized per picture"
    return f"(x - {spec.offset:g}) / {spec.scale:g}"


def _opens(path: Path) -> str:
    try:
        open_network(path).run()
    except EdgeFaceError as error:
        return f"no: {error}"
    return "yes"
