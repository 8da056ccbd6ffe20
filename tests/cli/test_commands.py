"""The command contract: exit codes, JSON keys, one sentence for every error, nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.errors import PictureError
from edgeface.pipeline.model_file import default_model_path, describe, load_model
from edgeface.verifier import FaceVerifier
from tests.conftest import PORTRAITS, CommandLine
from tests.helpers.images import read_image

OBAMA, OBAMA2, OBAMA3, BIDEN, COLLINS = (
    PORTRAITS / f"{name}.jpg" for name in ("obama", "obama2", "obama3", "biden", "collins")
)


@pytest.fixture
def enrolled(edgeface: CommandLine) -> CommandLine:
    assert edgeface("enroll", "obama", OBAMA, OBAMA3).status == 0
    return edgeface


def test_enroll_adds_templates_and_list_shows_them(edgeface: CommandLine) -> None:
    first = edgeface("enroll", "Ada Lovelace", COLLINS, "--json")
    assert first.status == 0
    assert (first.json["name"], first.json["templates"]) == ("Ada Lovelace", 1)
    assert first.json["rejected"] == []
    people = edgeface("list", "--json").json["people"]
    assert [(person["name"], person["templates"]) for person in people] == [("Ada Lovelace", 1)]
    assert edgeface.gallery.stat().st_mode & 0o777 == 0o600


def test_verify_accepts_the_person_and_refuses_another(enrolled: CommandLine) -> None:
    genuine = enrolled("verify", "obama", OBAMA2, "--json")
    assert genuine.status == 0
    assert genuine.json["match"] is True
    assert genuine.json["score"] >= genuine.json["threshold"]
    assert set(genuine.json["latency_ms"]) == {"detect", "align", "encode", "match", "total"}
    impostor = enrolled("verify", "obama", BIDEN, "--json")
    assert impostor.status == 1
    assert impostor.json["match"] is False
    assert impostor.json["score"] < impostor.json["threshold"]
    assert impostor.json["name"] == "obama"


def test_a_smaller_far_asks_for_more(enrolled: CommandLine) -> None:
    strict = enrolled("verify", "obama", OBAMA2, "--far", "1e-5", "--json").json["threshold"]
    lax = enrolled("verify", "obama", OBAMA2, "--far", "0.01", "--json").json["threshold"]
    assert strict > lax


def test_identify_names_the_enrolled_and_nobody_else(enrolled: CommandLine, tmp_path: Path) -> None:
    pictures = [cv2.resize(read_image(p), (480, 600)) for p in (OBAMA2, COLLINS)]
    both = tmp_path / "both.png"
    cv2.imwrite(str(both), np.hstack(pictures))
    found = enrolled("identify", both, "--json")
    assert found.status == 0
    faces = found.json["faces"]
    assert sorted(face["name"] or "" for face in faces) == ["", "obama"]
    for face in faces:
        assert (face["box"][0] < 480) == (face["name"] == "obama")
        assert (face["score"] >= face["threshold"]) == (face["name"] is not None)
    assert enrolled("identify", BIDEN).status == 1


def test_with_an_empty_gallery_everybody_is_unknown(edgeface: CommandLine) -> None:
    found = edgeface("identify", OBAMA, "--json")
    assert found.status == 1
    assert [face["name"] for face in found.json["faces"]] == [None]


def test_remove_forgets_a_person(enrolled: CommandLine) -> None:
    enrolled("enroll", "collins", COLLINS)
    assert enrolled("remove", "obama").status == 0
    assert [p["name"] for p in enrolled("list", "--json").json["people"]] == ["collins"]
    assert enrolled("verify", "obama", OBAMA2).status == 2
    assert enrolled("verify", "collins", COLLINS).status == 0


def test_encode_prints_embeddings(edgeface: CommandLine) -> None:
    out = edgeface("encode", OBAMA, BIDEN, "--json").json["embeddings"]
    assert [one["image"] for one in out] == [str(OBAMA), str(BIDEN)]
    for one in out:
        assert len(one["box"]) == 4
        assert np.linalg.norm(one["embedding"]) == pytest.approx(1, abs=1e-5)
        assert len(one["embedding"]) == 128
        assert 0 < one["quality"] <= 1


def test_demo_accepts_refuses_and_knows_a_stranger(edgeface: CommandLine) -> None:
    demo = edgeface("demo", "--json")
    assert demo.status == 0
    decisions = demo.json["decisions"]
    assert {"image", "claimed", "name", "score", "threshold", "match"} == set(decisions[0])
    answers = {(d["image"], d["claimed"]): d for d in decisions}
    assert answers["obama2.jpg", "obama"]["match"] is True
    assert answers["biden.jpg", "obama"]["match"] is False
    assert answers["biden.jpg", None]["name"] is None
    assert sum("frame" in d["image"] and d["name"] == "obama" for d in decisions) == 4
    assert not edgeface.gallery.exists()


def flip_a_bit(path: Path) -> bytes:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return bytes(data)


def test_a_damaged_gallery_decides_nothing(enrolled: CommandLine) -> None:
    damaged = flip_a_bit(enrolled.gallery)
    for arguments in (
        ("verify", "obama", OBAMA2),
        ("identify", OBAMA2),
        ("enroll", "collins", COLLINS),
        ("list",),
    ):
        outcome = enrolled(*arguments)
        assert outcome.status == 2
        assert "damaged" in outcome.stderr
        assert outcome.stderr.count("\n") == 1
        assert enrolled.gallery.read_bytes() == damaged


def a_file(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "bad.jpg"
        path.write_bytes(content)
        return path

    return make


def a_picture(pixels: np.ndarray) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "bad.png"
        cv2.imwrite(str(path), pixels)
        return path

    return make


BAD_PICTURES = {
    "an empty file": (a_file(b""), "is empty"),
    "a truncated JPEG": (a_file(COLLINS.read_bytes()[:20_000]), "cut short"),
    "a text file named .jpg": (a_file(b"not a picture\n" * 40), "not a picture"),
    "a 1x1 picture": (a_picture(np.full((1, 1, 3), 90, np.uint8)), "no face"),
    "no face": (a_picture(np.full((300, 400, 3), 90, np.uint8)), "no face"),
    "no such file": (lambda folder: folder / "missing.jpg", "there is no picture"),
    "a folder": (lambda folder: folder, "cannot read the picture"),
}


@pytest.mark.parametrize("case", BAD_PICTURES)
def test_a_bad_picture_is_one_sentence_and_changes_nothing(
    enrolled: CommandLine, tmp_path: Path, case: str
) -> None:
    make, words = BAD_PICTURES[case]
    picture = make(tmp_path)
    before = enrolled.gallery.read_bytes()
    for arguments in (
        ("enroll", "eve", picture),
        ("enroll", "obama", OBAMA2, picture) if "face" not in words else ("encode", picture),
        ("verify", "obama", picture),
        ("encode", picture),
    ):
        outcome = enrolled(*arguments)
        assert outcome.status == 2, outcome
        assert words in outcome.stderr
        assert outcome.stderr.startswith("edgeface: ")
        assert outcome.stderr.count("\n") == 1
        assert outcome.stdout == ""
    assert enrolled.gallery.read_bytes() == before


def test_two_faces_are_not_enrolled(enrolled: CommandLine, tmp_path: Path) -> None:
    both = tmp_path / "both.png"
    pictures = [cv2.resize(read_image(p), (480, 600)) for p in (OBAMA2, COLLINS)]
    cv2.imwrite(str(both), np.hstack(pictures))
    before = enrolled.gallery.read_bytes()
    outcome = enrolled("enroll", "both", both)
    assert outcome.status == 2
    assert "2 faces" in outcome.stderr
    assert enrolled.gallery.read_bytes() == before


def test_an_unknown_name_is_an_error_not_a_refusal(enrolled: CommandLine) -> None:
    outcome = enrolled("verify", "nobody", OBAMA)
    assert outcome.status == 2
    assert "nobody is not enrolled" in outcome.stderr
    assert enrolled("remove", "nobody").status == 2


def test_an_error_is_one_json_object_too(enrolled: CommandLine) -> None:
    outcome = enrolled("verify", "nobody", OBAMA, "--json")
    assert outcome.status == 2
    assert "not enrolled" in outcome.json["error"]


def another_model(folder: Path) -> Path:
    """The shipped network with another centre: its embeddings mean something else."""
    model = load_model()
    network = model.path.read_bytes()[: model.description.network_bytes]
    import msgspec

    spec = msgspec.structs.replace(model.description.embedding, centre=tuple([0.01] * 128))
    path = folder / "other.tflite"
    path.write_bytes(describe(network, msgspec.structs.replace(model.description, embedding=spec)))
    return path


def test_a_gallery_of_another_model_is_refused(enrolled: CommandLine, tmp_path: Path) -> None:
    other = another_model(tmp_path)
    before = enrolled.gallery.read_bytes()
    for arguments in (
        ("verify", "obama", OBAMA2),
        ("identify", OBAMA2),
        ("enroll", "collins", COLLINS),
        ("list",),
    ):
        outcome = enrolled(*arguments, "--model", other)
        assert outcome.status == 2
        assert "another model" in outcome.stderr
    assert enrolled.gallery.read_bytes() == before


@pytest.mark.parametrize("damage", ["cut in half", "one bit flipped", "not a model", "missing"])
def test_a_damaged_model_is_refused(enrolled: CommandLine, tmp_path: Path, damage: str) -> None:
    data = bytearray(default_model_path().read_bytes())
    if damage == "cut in half":
        data = data[: len(data) // 2]
    elif damage == "one bit flipped":
        data[len(data) // 3] ^= 4
    elif damage == "not a model":
        data = bytearray(b"x" * 5000)
    path = tmp_path / "bad.tflite"
    if damage != "missing":
        path.write_bytes(data)
    outcome = enrolled("verify", "obama", OBAMA2, "--model", path)
    assert outcome.status == 2
    assert "model" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_a_probability_must_be_one(enrolled: CommandLine) -> None:
    for far in ("0", "1", "-3", "nan"):
        assert enrolled("verify", "obama", OBAMA2, "--far", far).status == 2
    assert enrolled("identify", OBAMA2, "--fpir", "2").status == 2


@pytest.mark.parametrize("arguments", [("frobnicate",), ("verify",), ("enroll", "x"), ("--bogus",)])
def test_a_wrong_call_is_exit_2(edgeface: CommandLine, arguments: tuple[str, ...]) -> None:
    assert edgeface(*arguments).status == 2


def test_help_and_version_are_quick_and_import_nothing_heavy() -> None:
    code = (
        "import sys, edgeface, edgeface.cli\n"
        "heavy = {'cv2', 'numpy', 'ai_edge_litert', 'tensorflow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "edgeface.FaceVerifier()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_probability_that_no_score_reaches_is_an_error(enrolled: CommandLine) -> None:
    outcome = enrolled("verify", "obama", OBAMA2, "--far", "1e-300")
    assert outcome.status == 2
    assert "larger" in outcome.stderr


def test_a_wrong_call_prints_json_too(edgeface: CommandLine) -> None:
    outcome = edgeface("verify", "--json")
    assert outcome.status == 2
    assert "NAME" in outcome.json["error"]


def test_a_file_name_that_is_no_text_is_still_one_json_object(edgeface: CommandLine) -> None:
    outcome = edgeface("encode", "bad/\udcff.jpg", "--json")
    assert outcome.status == 2
    assert "there is no picture" in outcome.json["error"]


def test_what_nobody_foresaw_is_an_error_and_not_a_refusal(enrolled: CommandLine) -> None:
    """A full disk behind stdout, for one."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgeface", "list", "--json", "--gallery", enrolled.gallery],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_there_is_nobody_to_export_from_an_empty_gallery(
    edgeface: CommandLine, tmp_path: Path
) -> None:
    outcome = edgeface("export", tmp_path / "people")
    assert outcome.status == 2
    assert "nobody" in outcome.stderr
    assert not (tmp_path / "people").exists()


def test_doctor_changes_nothing(enrolled: CommandLine) -> None:
    enrolled("enroll", "collins", COLLINS)
    damaged = flip_a_bit(enrolled.gallery)
    checks = {c["name"]: c for c in enrolled("doctor", "--json").json["checks"]}
    assert checks["gallery"]["ok"] is False
    assert enrolled.gallery.read_bytes() == damaged


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for somebody else")
def test_root_leaves_the_gallery_to_its_owner(enrolled: CommandLine) -> None:
    for path in enrolled.gallery.parent.glob("gallery*"):
        os.chown(path, 12345, 12345)
    assert enrolled("enroll", "collins", COLLINS).status == 0
    for name in ("gallery.safetensors", "gallery.safetensors.lock"):
        status = (enrolled.gallery.parent / name).stat()
        assert (status.st_uid, status.st_gid) == (12345, 12345)


def test_a_single_image_is_not_taken_for_a_list(tmp_path: Path) -> None:
    verifier = FaceVerifier(tmp_path / "gallery.safetensors")
    with pytest.raises(PictureError, match="list"):
        verifier.enroll("obama", str(OBAMA))


def test_opencv_itself_refuses_what_is_too_large(edgeface: CommandLine) -> None:
    """The second wall; OpenCV reads it when it is imported, so in a process of its own."""
    script = (
        "import sys, os\n"
        "try:\n    __import__('edgeface.cli').cli.main(['--version'])\n"
        "except SystemExit: pass\n"
        "assert 'cv2' not in sys.modules\n"
        "print(os.environ['OPENCV_IO_MAX_IMAGE_PIXELS'])"
    )
    environment = {key: value for key, value in os.environ.items() if "OPENCV" not in key}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.splitlines()[-1] == "25000000"
