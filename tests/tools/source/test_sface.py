"""The pinned SFace: its template, and a cached file that is not the pinned one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeface.errors import ConfigError
from edgeface_tools.source.sface import FIVE_POINTS, ONNX_NAME, fetch_sface

# As published with the 112 x 112 alignment of ArcFace, in pixels whose centres are whole numbers.
PUBLISHED = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)


def test_the_template_is_the_published_one() -> None:
    wanted = (np.array(PUBLISHED) + 0.5) / 112
    assert FIVE_POINTS.of_mesh
    np.testing.assert_allclose(FIVE_POINTS.places, wanted, atol=1e-4)


def test_a_cached_file_with_other_bytes_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sface-3013cfdcfdc8"
    folder.mkdir()
    (folder / ONNX_NAME).write_bytes(b"something else")
    with pytest.raises(ConfigError, match=r"is damaged; delete .*sface-3013cfdcfdc8 and try again"):
        fetch_sface(tmp_path)
