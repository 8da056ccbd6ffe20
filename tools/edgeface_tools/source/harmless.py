"""Whether a recorded Keras configuration may be handed to Keras itself.

Takes in the JSON of a configuration, or an open HDF5 file, hands on nothing: each class, module and
function it names is one that only computes with tensors, or ModelError names the first that is not.
Keras's own safe mode stops less (tf.keras 2 runs the Lambda of an .h5 file in spite of it). It
builds nothing.
"""

from __future__ import annotations

from typing import Any

import h5py

from edgeface.errors import ModelError
from edgeface_tools.source.keras_layers import known_lambda

# Layers that neither read files nor hold code.
_LAYERS = frozenset(
    ("Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average",
     "AveragePooling2D", "BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2",
     "CategoryEncoding", "CenterCrop", "Concatenate", "Conv2D", "Conv2DTranspose", "Cropping2D",
     "Dense", "DepthwiseConv2D", "Dot", "Dropout", "ELU", "EinsumDense", "Flatten",
     "GaussianDropout", "GaussianNoise", "GlobalAveragePooling2D", "GlobalAvgPool2D",
     "GlobalMaxPool2D", "GlobalMaxPooling2D", "GroupNormalization", "Identity", "InputLayer",
     "InputSpec", "LayerNormalization", "LeakyReLU", "MaxPooling2D", "Maximum", "Minimum",
     "Multiply", "Normalization", "PReLU", "Permute", "RMSNormalization", "RandomBrightness",
     "RandomContrast", "RandomCrop", "RandomFlip", "RandomRotation", "RandomTranslation",
     "RandomZoom", "ReLU", "RepeatVector", "Rescaling", "Reshape", "Resizing", "SeparableConv2D",
     "Softmax", "SpatialDropout2D", "SpectralNormalization", "Subtract",
     "SyncBatchNormalization", "ThresholdedReLU", "UnitNormalization", "UpSampling2D",
     "ZeroPadding2D")
)  # fmt: skip
_MODELS = frozenset(("Functional", "Model", "Sequential"))
_REFERENCES = frozenset(("__keras_tensor__", "__tensor__", "DTypePolicy", "Policy", "TensorShape"))
_MODULES = ("keras.layers", "keras.src.layers", "keras.src.models", "keras.src.engine")
_OPERATIONS = "keras.src.ops."
_SETTINGS = ("keras.initializers", "keras.regularizers", "keras.constraints")
_CODE = frozenset(("__lambda__", "Lambda"))
_SYMBOLS = ("math.", "nn.", "__operators__.")  # tf.keras 2 records tf.math.square so


def check_config(recorded: Any, place: str) -> None:
    """ModelError for anything in a decoded configuration that is more than arithmetic."""
    waiting = [recorded]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += found
        elif isinstance(found, dict):
            if isinstance(found.get("class_name"), str) and "config" in found:
                _check_object(found, place)
                if found["class_name"] == "Lambda":
                    continue  # its code was compared, and is replaced
            waiting += found.values()


def _check_object(found: dict[str, Any], place: str) -> None:
    kind, module, config = found["class_name"], found.get("module"), found["config"]
    if isinstance(module, str):  # as the package of tf.keras 2 alone writes it
        module = module.removeprefix("tf_")
    name = config.get("name", kind) if isinstance(config, dict) else kind
    if kind in _CODE:
        if not known_lambda(config)[0]:
            raise ModelError(
                f"the layer {name!r} ({kind}) is refused: it holds Python code, which is never run"
            )
    elif kind == "TFOpLambda":
        function = config.get("function", "") if isinstance(config, dict) else ""
        if not str(function).startswith(_SYMBOLS) and function not in _PLAIN_SYMBOLS:
            raise ModelError(f"{place} calls {str(function)[:60]!r}, which is not arithmetic")
    elif not _is_harmless(kind, module, config):
        raise ModelError(
            f"the layer {name!r} ({kind}) in {place} is none of Keras's own, so it is not run"
        )


_PLAIN_SYMBOLS = frozenset(
    ("add", "subtract", "multiply", "divide", "reshape", "concat", "cast", "identity", "transpose",
     "reduce_mean", "reduce_sum", "reduce_max", "square", "sqrt", "expand_dims", "squeeze",
     "compat.v1.transpose", "linalg.l2_normalize", "reverse", "clip_by_value", "maximum", "minimum",
     "abs", "tanh", "sigmoid")
)  # fmt: skip


def _is_harmless(kind: str, module: object, config: Any) -> bool:
    if kind in _REFERENCES or str(module).startswith(_OPERATIONS):
        return True
    if kind == "function":
        return isinstance(config, str) and module in (None, "builtins", "keras.activations")
    if kind in _MODELS or kind in _LAYERS or kind in ("SlicingOpLambda", "CustomScaleLayer"):
        return module is None or module == "keras" or str(module).startswith(_MODULES)
    if module is None:  # initializers, regularizers and constraints of the old format
        return kind.isidentifier() and isinstance(config, dict) and _plain(config)
    return module in _SETTINGS


def _plain(config: dict[str, Any]) -> bool:
    return not any(isinstance(value, dict | list) for value in config.values())


def check_stored(file: h5py.File) -> None:
    """ModelError where a link or dataset of an HDF5 file leads to another file."""

    def visit(name: str, found: Any) -> None:
        if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
            raise ModelError(f"the weights {name!r} are not stored in the file itself")

    waiting: list[h5py.Group] = [file]
    while waiting:
        group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ModelError(f"the weights {name!r} are not stored in the file itself")
            found = group[name]
            visit(name, found)
            if isinstance(found, h5py.Group):
                waiting.append(found)
