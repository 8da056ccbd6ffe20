"""docs/fine-tune.sh from end to end, on a small set made of the shipped portraits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from edgeface.errors import ConfigError
from edgeface_tools.source.fetch import fetch_facenet
from tests.conftest import CHECKOUT, PORTRAITS
from tests.helpers.images import read_image

_PROBES = {"obama": "obama2", "biden": "biden", "collins": "collins"}


def people_and_probes(folder: Path) -> tuple[Path, Path]:
    """Each portrait at several sizes to learn and enroll; another, or the same mirrored, to ask."""
    people, probes = folder / "people", folder / "probes"
    for path in sorted(PORTRAITS.glob("*.jpg")):
        person = path.stem.rstrip("0123456789")
        portrait = read_image(path)
        (people / person).mkdir(parents=True, exist_ok=True)
        (probes / person).mkdir(parents=True, exist_ok=True)
        if _PROBES[person] == path.stem:
            cv2.imwrite(str(probes / person / "probe.jpg"), portrait[:, ::-1])
        if path.stem == "obama2":
            continue
        for width in (280, 320, 360, 400, 440, 480):
            height = round(portrait.shape[0] * width / portrait.shape[1])
            small = cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(people / person / f"{path.stem}-{width}.png"), small)
    return people, probes


def test_fine_tune_convert_enroll_verify(tmp_path: Path) -> None:
    try:
        fetch_facenet()
    except ConfigError as error:
        pytest.skip(f"FaceNet's weights cannot be fetched: {error}")
    people, probes = people_and_probes(tmp_path)
    camera = ["--grey", "--face-width", "40", "--gamma", "0.5", "--noise", "8", "--copies", "2"]
    lesson = ["--epochs", "1", "--freeze-through", "Block8_5_Activation"]
    tools = str(Path(sys.executable).parent)
    done = subprocess.run(
        [
            *("sh", CHECKOUT / "docs" / "fine-tune.sh", people, probes, tmp_path / "work"),
            *camera,
            *lesson,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    assert "3 people are too few to hold any out" in done.stderr
    answers = [line for line in done.stdout.splitlines() if line.startswith(("yes: ", "no: "))]
    assert len(answers) == 9
    for line in answers:
        probe, claimed = line.split(" against ")
        assert line.startswith("yes") == (f"/{claimed.split(',')[0]}/" in probe), line
