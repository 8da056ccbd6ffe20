"""Tries the plausible ways to give a network its pixels: which separates people best.

Takes in a float network, its input's description and labelled faces, hands on what each
normalization and colour order gives on a few of the faces. A network that gets its pixels in the
wrong range still gives numbers, only worse ones. It changes neither network nor description.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edgeface.pipeline.model_file import InputSpec
from edgeface.pipeline.runtime import default_threads
from edgeface_tools.people.embed import Embeddings
from edgeface_tools.people.faces import Crops, standardize
from edgeface_tools.people.labelled import Labelled

_PEOPLE, _PICTURES = 24, 4
_CLEARLY, _DEVIATIONS = 1.1, 2.0  # times the chosen one's separation, and beyond what is chance
_FIXED = {"0..1": (0.0, 255.0), "-1..1": (127.5, 127.5), "raw": (0.0, 1.0)}


class Tried(msgspec.Struct, frozen=True):
    """One way to give the pixels."""

    colour: str
    normalization: str
    separation: float
    """d': the distance of the mean genuine and impostor score in their standard deviations."""


class Inputs(msgspec.Struct, frozen=True):
    """All ways that were tried, the one that separates best first."""

    people: int
    faces: int
    genuine_pairs: int
    impostor_pairs: int
    chosen: Tried
    tried: list[Tried]

    @property
    def better(self) -> Tried | None:
        """The best one, where the chosen one is clearly worse."""
        best, reached = self.tried[0], max(self.chosen.separation, 0.0)
        chance = 1 / self.genuine_pairs + 1 / self.impostor_pairs
        chance += best.separation**2 / (2 * (self.genuine_pairs + self.impostor_pairs))
        limit = max(_CLEARLY * reached, reached + _DEVIATIONS * chance**0.5)
        return best if best.separation > limit else None


def try_inputs(
    network: bytes,
    about: InputSpec,
    trained_in: str,
    people: Labelled,
    *,
    declared: bool,
    progress: Callable[[], None] = lambda: None,
) -> Inputs:
    """The separation of each way, on at most 96 faces of 24 people.

    `about` describes the input of the float `network`; `trained_in` is the colour order that its
    source was trained in. Only the colour order is tried where the network has its range
    `declared`. `progress` after each way.
    """
    few = _few(people.people)
    crops, names = people.crops[few], np.array(people.people)[few]
    first, second = np.triu_indices(len(few), 1)
    same = names[first] == names[second]
    interpreter = Interpreter(model_content=network, num_threads=default_threads())
    interpreter.allocate_tensors()
    tried = []
    for colour, normalization, spec in _ways(about, trained_in, declared):
        rows = _embeddings(interpreter, crops, spec)
        found = _separation(rows, (first, second), same)
        tried.append(Tried(colour, normalization, round(found, 3)))
        progress()
    return Inputs(
        people=len(set(names)),
        faces=len(few),
        genuine_pairs=int(same.sum()),
        impostor_pairs=int((~same).sum()),
        chosen=tried[0],
        tried=sorted(tried, key=lambda one: -one.separation),
    )


def ways(declared: bool) -> int:
    """How many ways there are at most."""
    return 2 if declared else 2 * (len(_FIXED) + 2)


_Form = tuple[str, float, float]


def _ways(spec: InputSpec, trained_in: str, declared: bool) -> list[tuple[str, str, InputSpec]]:
    """Colour order, normalization and description of each, the chosen one first."""
    known: dict[str, _Form] = {"per-image": ("per-image", 0.0, 1.0)}
    known |= {name: ("fixed", *numbers) for name, numbers in _FIXED.items()}
    chosen: _Form = (spec.normalization, spec.offset, spec.scale)
    if spec.normalization == "per-image":
        chosen = known["per-image"]
    name = next((one for one, form in known.items() if form == chosen), None)
    if declared:
        name, known = "as the network says", {}
    name = name or f"{spec.offset:g}/{spec.scale:g}"
    others = {one: form for one, form in known.items() if form != chosen}
    return [
        (_other(trained_in) if swapped else trained_in, one, _spec(spec, form, swapped))
        for one, form in {name: chosen, **others}.items()
        for swapped in (False, True)
    ]


def _spec(spec: InputSpec, form: _Form, swapped: bool) -> InputSpec:
    colour = _other(spec.colour) if swapped else spec.colour
    return msgspec.convert(
        {
            "size": spec.size,
            "colour": colour,
            "normalization": form[0],
            "offset": form[1],
            "scale": form[2],
        },
        InputSpec,
    )


def _other(colour: str) -> str:
    return {"rgb": "bgr", "bgr": "rgb"}[colour]


def _few(people: tuple[str, ...]) -> NDArray[np.int64]:
    """Places of the first pictures of the people who have most."""
    places: dict[str, list[int]] = {}
    for place, person in enumerate(people):
        places.setdefault(person, []).append(place)
    order = sorted(places.values(), key=lambda found: -min(len(found), _PICTURES))
    return np.array(sorted(n for found in order[:_PEOPLE] for n in found[:_PICTURES]))


def _embeddings(interpreter: Interpreter, crops: Crops, spec: InputSpec) -> Embeddings:
    """In this process without the runtime's own trial: the network came through it already."""
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for crop in crops:
        interpreter.set_tensor(source["index"], standardize(crop, spec))
        interpreter.invoke()
        row = interpreter.get_tensor(target["index"])[0]
        rows.append(row / max(float(np.linalg.norm(row)), 1e-12))
    return np.stack(rows)


def _separation(
    rows: Embeddings,
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
    same: NDArray[np.bool_],
) -> float:
    scores = np.einsum("ij,ij->i", rows[pairs[0]], rows[pairs[1]], dtype=np.float64)
    genuine, impostor = scores[same], scores[~same]
    spread = np.sqrt((genuine.var() + impostor.var()) / 2)
    return float((genuine.mean() - impostor.mean()) / max(spread, 1e-9))
