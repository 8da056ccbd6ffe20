"""A description for a TFLite network that may have none.

Takes in a model file and the user's options, hands on the bare network and a `Description`. What
the network itself shows (sizes, operators, precision) is not asked for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from ai_edge_litert import schema_py_generated as schema

from edgeface.errors import ConfigError
from edgeface.pipeline.model_file import Description, EmbeddingSpec, InputSpec, Source
from edgeface_tools.convert import TEMPLATE, TOOL
from edgeface_tools.source.load import picture_and_numbers
from edgeface_tools.source.normalization import Colour, trained_with
from edgeface_tools.tflite.cleaning import one_output
from edgeface_tools.tflite.flatbuffer import operators, unpack
from edgeface_tools.tflite.inspection import read_network
from edgeface_tools.tflite.operators import WEIGHTED, minimum_runtime, needs


def description_for(
    path: Path,
    name: str | None,
    colour: Colour | None,
    normalization: str | None,
    layer: str | None = None,
) -> tuple[bytes, Description]:
    """The bare network in `path`, and its own description or a new one from the options.

    Of a network with several outputs `layer` names the one that is the embedding.
    """
    network, about, _ = read_network(path)
    if about is None:
        network = one_output(network, layer, path)
        about = _fresh(network, path)
    elif colour or normalization or layer:
        raise ConfigError(
            f"{path} already describes its input; --colour, --normalization and --layer are for "
            "files without a description"
        )
    spec = trained_with(about.input, colour, normalization)
    return network, msgspec.structs.replace(about, name=name or about.name, input=spec)


_TYPE = schema.TensorType
_PRECISIONS = {
    (_TYPE.FLOAT32, _TYPE.FLOAT32): "float32",
    (_TYPE.FLOAT32, _TYPE.INT8): "dynamic",
    (_TYPE.INT8, _TYPE.INT8): "int8",
    (_TYPE.INT16, _TYPE.INT8): "int16x8",
}


def _fresh(network: bytes, path: Path) -> Description:
    model = unpack(network)
    size, numbers = picture_and_numbers(network, path)
    digest = hashlib.sha256(network).hexdigest()
    return Description(
        format=1,
        name=path.stem,
        precision=_precision(model),
        network_bytes=len(network),
        network_sha256=digest,
        input=InputSpec(size, "rgb", "per-image"),
        alignment=TEMPLATE,
        embedding=EmbeddingSpec(numbers),
        scores=None,
        source=Source(path.name, digest),
        tool=TOOL,
        minimum_runtime=minimum_runtime(needs(model)),
    )


def _precision(model: Any) -> str:
    """By the types of the first weights and of the tensor they are applied to."""
    found = list(operators(model))
    if any(op.name == "DEQUANTIZE" and op.inputs[0].type == _TYPE.FLOAT16 for op in found):
        return "float16"
    for op in found:
        if op.name in WEIGHTED:
            return _PRECISIONS.get((op.inputs[0].type, op.inputs[1].type), "unknown")
    return "unknown"
