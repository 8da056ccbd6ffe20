"""The file is what docs/gallery-format.md says, and nothing else is taken for one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from benchmarks.proofs import gallery as proofs
from edgeface.errors import GalleryError
from edgeface.gallery import file as gallery_file
from edgeface.gallery.change import GalleryChange
from edgeface.gallery.contents import Contents
from edgeface.gallery.file import DamagedGallery, read_contents
from edgeface.gallery.gallery import Gallery
from edgeface.gallery.transfer import import_people
from tests.helpers.galleries import craft, scaled


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "gallery.safetensors"
    for name in ("bob", "ada", "zoë"):
        proofs.enroll(path, name)
    return path


Change = Callable[[dict[str, Any]], object]
"""Changes a header in place."""


def with_header(path: Path, change: Change) -> None:
    """Write the file again with its JSON header changed and the digest made to fit."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    change(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    body = len(text).to_bytes(8, "little") + text + data[end:-32]
    path.write_bytes(body + hashlib.sha256(body).digest())


def test_any_safetensors_reader_understands_it(path: Path) -> None:
    with safe_open(path, "np") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert metadata == {
        "format": "edgeface-gallery-1",
        "model": proofs.MODEL.identity,
        "generation": "3",
    }
    assert tensors["names"].tobytes().decode() == "ada\nbob\nzoë\n"
    assert tensors["counts"].tolist() == [3, 3, 3]
    values = tensors["embeddings"] * tensors["scales"][:, None]
    np.testing.assert_allclose(values[:3], proofs.templates_of("ada"), atol=0.01)
    lengths = np.linalg.norm(values.reshape(3, 3, -1).sum(axis=1), axis=1)
    np.testing.assert_allclose(tensors["closeness"], 1 / lengths, rtol=1e-4)
    assert tensors["sha256"].tobytes() == hashlib.sha256(path.read_bytes()[:-32]).digest()


def test_a_template_takes_at_most_160_bytes(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((3000, 128)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    model = type(proofs.MODEL)(**vars(proofs.MODEL))
    model.description = type(model)(embedding=type(model)(size=128))
    with GalleryChange.open(tmp_path / "g", model) as change:
        change.add_people({f"person {i:04d}": rows[3 * i : 3 * i + 3] for i in range(1000)})
    assert (tmp_path / "g").stat().st_size / 3000 < 160
    assert (tmp_path / "g").stat().st_size * 10 < 5_500_000


def test_a_large_file_is_mapped_and_read_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Gallery.open(path, proofs.MODEL)
    monkeypatch.setattr(gallery_file, "READ_WHOLE", 0)
    mapped = Gallery.open(path, proofs.MODEL)
    probe = proofs.templates_of("bob")[1]
    assert mapped.search(probe, most=3) == whole.search(probe, most=3)
    path.write_bytes(b"")
    with pytest.raises(GalleryError):
        read_contents(path)


def test_a_newer_format_is_named_and_not_taken_for_damage(path: Path) -> None:
    with_header(path, lambda header: header["__metadata__"].update(format="edgeface-gallery-2"))
    with pytest.raises(GalleryError, match="format edgeface-gallery-2") as caught:
        Gallery.open(path, proofs.MODEL)
    assert not isinstance(caught.value, DamagedGallery)


def test_another_models_gallery_is_refused(path: Path) -> None:
    with_header(path, lambda header: header["__metadata__"].update(model="b" * 64))
    with pytest.raises(GalleryError, match="another model"):
        Gallery.open(path, proofs.MODEL)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header["__metadata__"].update(generation="-1"),
        lambda header: header["__metadata__"].update(generation="03"),
        lambda header: header["__metadata__"].update(more="?"),
        lambda header: header["counts"].update(shape=[1, 3]),
        lambda header: header["embeddings"].update(shape=[96, 3]),
        lambda header: header["embeddings"].update(dtype="U8"),
        lambda header: header["embeddings"].update(shape=[2**62, 4]),
        lambda header: header["scales"].update(data_offsets=[4, 40]),
        lambda header: header.pop("closeness"),
        lambda header: header.update(extra=header["names"]),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(path: Path, change: Change) -> None:
    with_header(path, change)
    with pytest.raises(DamagedGallery):
        read_contents(path)


def test_bytes_between_the_tensors_and_the_digest_are_refused(path: Path) -> None:
    body = path.read_bytes()[:-32] + b"more"
    path.write_bytes(body + hashlib.sha256(body).digest())
    with pytest.raises(DamagedGallery):
        read_contents(path)


@given(st.binary(max_size=600))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_arbitrary_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    for content in (data, data + hashlib.sha256(data).digest()):
        (tmp_path / "noise").write_bytes(content)
        with pytest.raises(GalleryError):
            read_contents(tmp_path / "noise")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="cannot read the gallery"):
        read_contents(tmp_path)


def _blank(contents: Contents) -> Contents:
    templates = contents.templates.copy()
    templates[4] = 0
    return replace(contents, templates=templates)


def _with_scale(value: float) -> Callable[[Contents], Contents]:
    def change(contents: Contents) -> Contents:
        scales = contents.scales.copy()
        scales[4] = value
        return replace(contents, scales=scales)

    return change


WRONG_TEMPLATES = {
    "long": lambda contents: replace(contents, scales=contents.scales * np.float32(1.02)),
    "very long": _with_scale(1.0),
    "short": lambda contents: replace(contents, scales=contents.scales * np.float32(0.98)),
    "zero": _blank,
    "zero scale": _with_scale(0.0),
    "negative": _with_scale(-0.01),
    "not a number": _with_scale(float("nan")),
    "infinite": _with_scale(float("inf")),
    "near everybody": lambda contents: replace(
        contents, closeness=np.full_like(contents.closeness, 1.0)
    ),
}


@pytest.mark.parametrize("change", WRONG_TEMPLATES.values(), ids=WRONG_TEMPLATES.keys())
def test_templates_whose_scores_are_no_cosines_are_refused_and_imported_by_nobody(
    path: Path, tmp_path: Path, change: Callable[[Contents], Contents]
) -> None:
    own = tmp_path / "own" / "gallery.safetensors"
    proofs.enroll(own, "eve")
    before = own.read_bytes()
    craft(path, change(read_contents(path)))
    crafted = path.read_bytes()
    for attempt in (
        lambda: Gallery.open(path, proofs.MODEL),
        lambda: import_people(path, None, own, proofs.MODEL, None, force=True),
    ):
        with pytest.raises(GalleryError, match="not written by EdgeFace: it holds a "):
            attempt()
    assert path.read_bytes() == crafted
    assert own.read_bytes() == before


def test_rounding_of_a_scale_is_no_reason_to_refuse(path: Path) -> None:
    craft(path, scaled(path, 1 + 1e-6))
    assert len(Gallery.open(path, proofs.MODEL)) == 3
