"""The table of precisions: a row for each form and runtime, with what was measured on the pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgeface.pipeline.runtime import installed_runtimes
from edgeface_tools.report.precisions import as_markdown, compare
from edgeface_tools.source.load import load_source
from tests.helpers.convert_model import refused
from tests.helpers.networks import small_facenet

FORMS = [
    ("float32", "float32"),
    ("float16", "float32"),
    ("dynamic", "float32"),
    ("int8", "int8"),
    ("int8", "float32"),
    ("int16x8", "int16"),
]


@pytest.fixture(scope="module")
def pairs(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures named as LFW's are, and a list of pairs: ten of one person, six of two."""
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("obama", "biden"):
        for number, path in enumerate(sorted(photos.glob(f"{name}-*.png")), 1):
            copy = folder / name / f"{name}_{number:04d}.jpg"
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    of_one = [f"{name}\t{i}\t{i + 1}" for name in ("obama", "biden") for i in range(1, 6)]
    of_two = [f"obama\t{i}\tbiden\t{i}" for i in range(1, 7)]
    listed = folder / "pairs.txt"
    listed.write_text("\n".join(of_one + of_two))
    return listed


def test_every_form_has_a_row_on_every_runtime(pairs: Path, photos: Path, tmp_path: Path) -> None:
    source = load_source(str(small_facenet().save(tmp_path / "small.h5")))
    text = as_markdown(compare(replace(source, pictures=photos), None, pairs))
    assert "the 16 pairs" in " ".join(text.split())
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ") and "---" not in line
    ][1:]
    assert [(row[0], row[1]) for row in rows] == [
        form for form in FORMS for _ in installed_runtimes()
    ]
    medians = [float(row[6].partition(" /")[0]) for row in rows if row[6]]
    assert medians[0] == pytest.approx(1, abs=1e-5)  # float32 with itself
    assert all(median > 0.99 for median in medians)
    assert all(row[7].endswith(" %") for row in rows[:: len(installed_runtimes())])


def test_pairs_without_their_pictures_are_refused(pairs: Path, tmp_path: Path) -> None:
    alone = tmp_path / "pairs.txt"
    alone.write_bytes(pairs.read_bytes())
    source = small_facenet().save(tmp_path / "small.h5")
    assert "give the folder of the pictures" in refused(
        "precisions", source, "--pairs", alone, "-o", tmp_path / "page.md"
    )
    assert not (tmp_path / "page.md").exists()
