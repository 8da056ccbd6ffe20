"""A running service with a person whose name is markup, another whose name is a formula, and a
history, for the console to be a client of."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from edgeface.verifier import FaceVerifier
from tests.helpers.service import PORTRAITS, Running, portrait_video

# Where the extra console is not installed there is no console to be tested.
collect_ignore_glob = [] if find_spec("starlette") and find_spec("httpx") else ["test_*.py"]
MARKUP = "\"><script src='//x'></script><img src=x onerror=alert(1)>"
FORMULA = "=HYPERLINK(1)&cmd|' /C calc'!A0"


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    video = portrait_video(folder / "video.avi", "obama", "biden")
    verifier = FaceVerifier(folder / "gallery.safetensors")
    verifier.enroll(MARKUP, [PORTRAITS / "obama.jpg"], force=True)
    verifier.enroll(FORMULA, [PORTRAITS / "biden.jpg"], force=True)
    settings = f'[source]\nspec = "{video}"\nloop = true\npace = "own"\n[history]\n'
    with Running(folder, settings).ready() as running:
        running.until(lambda: {MARKUP, FORMULA} <= {e["name"] for e in running.of("recognized")})
        yield running
