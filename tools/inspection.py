"""What is in a model file, in words and as data.

Takes in a path, hands on an `Inspection`: the description, the operators with the runtimes they
need, and whether each runtime that is installed here can open the file. It judges no accuracy.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgeface.errors import EdgeFaceError
from edgeface.model import Description, load_model
from edgeface.runtime import choose_runtime, open_network
from edgeface_tools.flatbuffer import unpack
from edgeface_tools.operators import OLDEST_RUNTIME, minimum_runtime, needs, too_new


class OperatorCount(msgspec.Struct, frozen=True):
    """One line of the operator table."""

    name: str
    version: int
    count: int
    since: str | None
    """The TFLite release that brought it; null when this tool does not know."""


class Inspection(msgspec.Struct, frozen=True):
    """Everything `convert-model inspect` shows."""

    path: str
    bytes: int
    description: Description
    identity: str
    operators: list[OperatorCount]
    minimum_runtime: str
    runs_on: dict[str, str]
    """By runtime: "yes", or why not."""


def inspect(path: Path) -> Inspection:
    """Look into a described model file; ModelError when it is none."""
    model = load_model(path)
    network = path.read_bytes()[: model.description.network_bytes]
    found = needs(unpack(network))
    runs_on = {choose_runtime(): _opens(path)}
    lacking = too_new(found)
    runs_on[f"tflite-runtime {OLDEST_RUNTIME} (by its operators)"] = (
        f"no: it lacks {', '.join(map(str, lacking))}" if lacking else "yes"
    )
    return Inspection(
        path=str(path),
        bytes=path.stat().st_size,
        description=model.description,
        identity=model.identity,
        operators=[OperatorCount(n.name, n.version, n.count, n.since) for n in found],
        minimum_runtime=minimum_runtime(found),
        runs_on=runs_on,
    )


def as_text(found: Inspection) -> str:
    """An inspection for a person."""
    about = found.description
    lines = [
        f"{about.name}, {about.precision}, {found.bytes / 1e6:.1f} MB, {found.path}",
        f"source          {about.source.name}, sha256 {about.source.sha256[:16]}",
        f"input           {about.input.size}x{about.input.size} {about.input.colour}, "
        f"{about.input.normalization}",
        f"embedding       {about.embedding.size} numbers, "
        f"{'centred' if about.embedding.centre else 'not centred'}",
        f"identity        {found.identity[:16]}",
        f"minimum runtime {found.minimum_runtime}",
    ]
    lines += [f"runs on         {runtime}: {answer}" for runtime, answer in found.runs_on.items()]
    lines += ["", "operator              version  count  since"]
    lines += [
        f"{o.name:<22}{o.version:>7}{o.count:>7}  {o.since or 'unknown'}" for o in found.operators
    ]
    if about.scores is not None:
        lines += ["", f"scores on {about.scores.measured_on}", "    FAR   score"]
        lines += [
            f"{point.far:>7.0e}   {point.score:.4f}{'' if point.supported else '  (a guess)'}"
            for point in about.scores.points
        ]
    return "\n".join(lines)


def _opens(path: Path) -> str:
    try:
        open_network(path).run()
    except EdgeFaceError as error:
        return f"no: {error}"
    return "yes"
