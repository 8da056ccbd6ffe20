"""The command line: what it writes, and its errors."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from edgeface.pipeline.model_file import load_model
from edgeface_tools.convert import TEMPLATE
from edgeface_tools.network.to_tflite import float_tflite
from edgeface_tools.people.faces import cut_faces, pictures_in
from edgeface_tools.report.report import place_beside
from edgeface_tools.source.keras2 import read_legacy_h5
from edgeface_tools.tflite.flatbuffer import name_of, pack, unpack
from tests.conftest import CHECKOUT
from tests.helpers.convert_model import convert_model, refused
from tests.helpers.images import read_image
from tests.helpers.networks import KerasTwo, small_facenet

SHIPPED = CHECKOUT / "models" / "facenet-int8.tflite"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_facenet().save(tmp_path_factory.mktemp("source") / "small.h5")


@pytest.fixture(scope="module")
def converted(source: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("converted") / "small.tflite"
    outcome = convert_model(source, "-o", path, "--calibrate", photos, "--no-report")
    assert outcome.status == 0, outcome.stderr
    assert "grey.png: no face found" in outcome.stderr
    assert "text.jpg" in outcome.stderr
    return path


def test_a_source_becomes_a_model_that_the_runtime_loads(converted: Path) -> None:
    description = load_model(converted).description
    assert (description.input.size, description.embedding.size) == (24, 16)
    assert (description.precision, description.input.colour) == ("int8", "bgr")
    assert description.source.name == "small.h5"


def test_without_labelled_pictures_thresholds_are_a_guess_and_say_so(
    source: Path, photos: Path, tmp_path: Path
) -> None:
    path = tmp_path / "small.tflite"
    outcome = convert_model(source, "-o", path, "--calibrate", photos, "--no-report")
    assert "note: thresholds are a guess" in outcome.stderr
    scores = load_model(path).description.scores
    assert scores is not None
    assert scores.measured_on.startswith("a guess from ")
    assert not any(point.supported for point in scores.points)
    assert "(a guess)" in outcome.stdout


def test_observations_replace_the_photos(
    source: Path, photos: Path, converted: Path, tmp_path: Path
) -> None:
    numbers, again = tmp_path / "numbers.json", tmp_path / "again.tflite"
    assert convert_model("observe", source, "-o", numbers, "--calibrate", photos).status == 0
    assert convert_model(source, "-o", again, "--observations", numbers, "--no-report").status == 0
    networks = [load_model(path).description.network_sha256 for path in (again, converted)]
    assert networks[0] == networks[1]


def test_a_population_is_measured_and_put_into_the_model(
    converted: Path, photos: Path, tmp_path: Path
) -> None:
    people = tmp_path / "people"
    for path in sorted(photos.glob("*-*.png")):
        person = people / path.stem.rstrip("-0123456789")
        person.mkdir(parents=True, exist_ok=True)
        (person / path.name).write_bytes(path.read_bytes())
    numbers, described = tmp_path / "population.json", tmp_path / "described.tflite"
    made = convert_model(
        *("population", converted, "-o", numbers, "--labelled", people, "--measured-on", "us")
    )
    assert made.status == 0, made.stderr
    put = convert_model("describe", converted, "-o", described, "--population", numbers)
    assert put.status == 0, put.stderr
    description = load_model(described).description
    assert description.scores is not None
    assert description.scores.measured_on == "us"
    assert description.embedding.centre is None  # three people are no population
    assert description.scores.genuine_pairs == 18 * 17 // 2 + 2 * (6 * 5 // 2)
    message = refused("describe", SHIPPED, "-o", tmp_path / "no.tflite", "--population", numbers)
    assert "was measured with another model" in message


def test_inspect_shows_what_is_inside(converted: Path) -> None:
    found = json.loads(convert_model("inspect", converted, "--json").stdout)
    assert found["minimum_runtime"] == "1.14.0"
    assert {"name": "CONV_2D", "version": 3, "count": 5, "since": "1.14.0"} in found["operators"]
    assert found["runs_on"]["litert"] == "yes"
    assert "CONV_2D" in convert_model("inspect", converted).stdout


def test_calibration_sees_what_the_runtime_cuts(photos: Path) -> None:
    faces = cut_faces(sorted(photos.iterdir()), TEMPLATE, 160)
    assert {path.name for path, _ in faces.skipped} == {"grey.png", "text.jpg"}
    assert faces.crops.shape == (len(faces.used), 160, 160, 3)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("convert", "--help")])
def test_help_needs_no_network_and_no_tensorflow(arguments: tuple[str, ...]) -> None:
    outcome = convert_model(*arguments)
    assert "SOURCE" in outcome.stdout + outcome.stderr


def test_faces_of_one_person_are_refused(source: Path, photos: Path, tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.mkdir()
    for path in sorted(photos.glob("obama*-*.png")):
        for angle in (-4, 4):  # 36 pictures, all different
            picture = read_image(path)
            height, width = picture.shape[:2]
            turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
            turned = cv2.warpAffine(picture, turn, (width, height))
            cv2.imwrite(str(one / f"{path.stem}{angle}.png"), turned)
    output = tmp_path / "out.tflite"
    message = refused(source, "-o", output, "--calibrate", one)
    assert "are all of one person" in message
    assert not output.exists()


def test_too_few_faces_are_refused(source: Path, photos: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(photos.glob("obama-*.png"))[:3]:
        (few / path.name).write_bytes(path.read_bytes())
    output = tmp_path / "out.tflite"
    message = refused(source, "-o", output, "--calibrate", few)
    assert "only 3 of 3 pictures" in message
    assert not output.exists()


def test_a_hostile_lambda_leaves_no_output(photos: Path, tmp_path: Path) -> None:
    net = KerasTwo()
    stem = net.conv("stem", net.picture(), (3, 3, 3, 4))
    net.scale_sum("sum", stem, stem, 0.1, code="4wAAAAA=")
    output = tmp_path / "out.tflite"
    bad = net.save(tmp_path / "bad.h5")
    message = refused(bad, "-o", output, "--calibrate", photos)
    assert "'sum' (Lambda) is refused" in message
    assert not output.exists()


def test_errors_are_one_sentence_and_exit_two(source: Path, tmp_path: Path) -> None:
    output, empty = tmp_path / "out.tflite", tmp_path / "empty"
    empty.mkdir()
    nothing = tmp_path / "nothing"
    garbage = tmp_path / "garbage.h5"
    garbage.write_bytes(b"not HDF5")
    cases = [
        ((nothing, "-o", output), "there is no file"),
        ((garbage, "-o", output), "is neither an HDF5 nor a .keras file"),
        ((empty, "-o", output), "is not a SavedModel and holds no CSV files"),
        ((source, "-o", output, "--architecture", "nn4_small2"), "leave --architecture out"),
        ((source, "-o", output, "--labelled", nothing), "there is no folder"),
        ((source, "-o", output), "give --calibrate"),
        ((source, "-o", output, "--calibrate", nothing), "there is no folder"),
        ((source, "-o", output, "--calibrate", empty), "there are no pictures"),
        ((source, "-o", output, "--observations", nothing), "cannot read the observations"),
        ((source, "-o", output, "--observations", garbage), "holds no observations"),
        (("inspect", nothing), "there is no model file"),
        (("inspect", garbage), "is not a TFLite model"),
        (("describe", nothing), "there is no model file"),
        (("describe", SHIPPED, "-o", output, "--colour", "rgb"), "already describes its input"),
        (("population", SHIPPED, "-o", output, "--labelled", empty), "there are no pictures"),
    ]
    for arguments, words in cases:
        assert words in refused(*arguments)
    assert not output.exists()


def test_a_source_is_never_its_own_output(source: Path) -> None:
    before = source.read_bytes()
    assert "is the source itself" in refused(source, "-o", source)
    assert source.read_bytes() == before
    another = source.with_name("another.h5")
    another.hardlink_to(source)
    assert "is the source itself" in refused(source, "-o", another)
    numbers = source.with_name("numbers.json")
    numbers.write_text("{}")
    for option in ("observations", "population"):
        assert f"is the file of --{option}" in refused(
            source, "-o", numbers, f"--{option}", numbers
        )
    assert numbers.read_text() == "{}"


def test_both_commands_say_their_version() -> None:
    import edgeface
    from edgeface_tools.cli.train_triplet import main as train_triplet
    from tests.helpers.command import call

    assert convert_model("--version").stdout == f"convert-model, version {edgeface.__version__}\n"
    assert edgeface.__version__ in call(train_triplet, "--version").stdout


def test_what_macos_writes_beside_pictures_is_no_picture(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "obama.png").write_bytes(next(photos.glob("obama-*.png")).read_bytes())
    (tmp_path / "._obama.png").write_bytes(b"\x00\x05\x16\x07attributes")
    assert [path.name for path in pictures_in(tmp_path)] == ["obama.png"]


def test_a_report_of_another_model_is_never_overwritten(tmp_path: Path) -> None:
    first, second = tmp_path / "first.tflite", tmp_path / "second.tflite"
    assert place_beside(first).name == "report.html"
    (tmp_path / "report.json").write_text('{"inspection": {"path": "first.tflite"}}')
    assert place_beside(first).name == "report.html"
    assert place_beside(second).name == "second.report.html"
    (tmp_path / "second.report.html").write_text("somebody's own page")
    assert place_beside(second).name == "second.tflite.report.html"
    (tmp_path / "second.tflite.report.json").write_text('{"inspection": {"path": "other"}}')
    assert place_beside(second).name == "second.tflite.report-2.html"


def test_pixels_in_the_wrong_range_are_noticed_on_labelled_faces(
    source: Path, photos: Path, tmp_path: Path
) -> None:
    people = tmp_path / "people"
    for path in [*photos.glob("*-240.png"), *photos.glob("*-480.png")]:
        person = people / path.stem.rstrip("-0123456789")
        person.mkdir(parents=True, exist_ok=True)
        (person / path.name).write_bytes(path.read_bytes())

    def said(colour: str, normalization: str) -> list[str]:
        outcome = convert_model(
            *(source, "-o", tmp_path / "out.tflite", "--labelled", people, "--no-report"),
            *("--precision", "float32", "--colour", colour, f"--normalization={normalization}"),
        )
        assert outcome.status == 0, outcome.stderr
        return outcome.stderr.splitlines()

    wrong = said("bgr", "-1..1")
    place = next(n for n, line in enumerate(wrong) if line.startswith("separation (d') of 8 gen"))
    tried = [line.split(maxsplit=1) for line in wrong[place + 1 : place + 9]]
    assert [float(value) for value, _ in tried] == sorted(
        (float(v) for v, _ in tried), reverse=True
    )
    assert [way for _, way in tried if "chosen" in way] == ["bgr, -1..1  (chosen)"]
    (warning,) = (line for line in wrong if line.startswith("warning: "))
    assert "clearly better than bgr, -1..1" in warning
    best = tried[0][1].split(", ")  # what it says works
    assert f"{best[0]}, {best[1]} separates" in warning
    assert not [line for line in said(*best) if line.startswith("warning: ")]


def test_a_network_with_several_outputs_is_described_once_told_which(tmp_path: Path) -> None:
    model = unpack(float_tflite(read_legacy_h5(small_facenet().save(tmp_path / "small.h5"))))
    graph = model.subgraphs[0]
    names = [name_of(tensor) for tensor in graph.tensors]
    graph.outputs = [*graph.outputs, names.index("bottleneck")]
    path = tmp_path / "two.tflite"
    path.write_bytes(pack(model))
    assert "has 2 outputs; name the embedding's with --layer: embedding" in refused(
        "describe", path
    )
    assert "it has: embedding" in refused("describe", path, "--layer", "none")
    done = convert_model("describe", path, "--layer", "embedding")
    assert done.status == 0, done.stderr
    assert load_model(path).description.embedding.size == 16
