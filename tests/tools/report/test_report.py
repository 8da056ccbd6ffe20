"""The report: every figure of the page is in the data, nothing is loaded, no stranger is shown."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import pytest

import edgeface
from edgeface.pipeline.model_file import load_model
from edgeface_tools.tflite.cost import cost
from tests.conftest import CHECKOUT, PORTRAITS
from tests.helpers.convert_model import convert_model
from tests.helpers.images import read_image
from tests.helpers.networks import small_facenet


@pytest.fixture(scope="module")
def written(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a conversion with labelled pictures leaves."""
    folder = tmp_path_factory.mktemp("report")
    people, calibration = folder / "people", folder / "calibration"
    shutil.copytree(photos, calibration, ignore=shutil.ignore_patterns("collins*"))
    for path in sorted(photos.glob("*-*.png")):
        person = people / path.stem.rstrip("-0123456789")
        person.mkdir(parents=True, exist_ok=True)
        if person.name == "biden":  # the same face, another picture
            cv2.imwrite(str(person / path.name), read_image(path)[:, ::-1])
        else:
            (person / path.name).write_bytes(path.read_bytes())
    source = small_facenet().save(folder / "small.h5")
    made = convert_model(
        *(source, "-o", folder / "small.tflite", "--calibrate", calibration, "--labelled", people)
    )
    assert made.status == 0, made.stderr
    assert "2 of the 3 labelled people are among the calibration faces" in made.stderr
    return folder


@pytest.fixture(scope="module")
def data(written: Path) -> Any:
    return json.loads((written / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(written: Path) -> str:
    return (written / "report.html").read_text(encoding="utf-8")


class Words(HTMLParser):
    """The words that a reader sees, without the frames of charts."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        self.tags.append((tag, about))
        if tag == "style" or (tag == "text" and about.get("class") == "tick"):
            self._silent.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._silent and self._silent[-1] == tag:
            self._silent.pop()

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from leaves(one)
    elif isinstance(value, list):
        yield len(value)
        for one in value:
            yield from leaves(one)
    else:
        yield value


def test_every_figure_on_the_page_is_in_the_data(page: str, data: Any) -> None:
    parser = Words()
    parser.feed(page)
    told = list(leaves(data))
    text = " ".join(one for one in told if isinstance(one, str))
    numbers = [float(one) for one in told if isinstance(one, int | float)]
    numbers += [float(far) for one in data["people"]["curves"] for far in one["tar"]]
    own = {"95", "100", "1st", "95th"}  # the page's own words about bands and percentiles
    seen = 0
    for words in parser.words:
        for token in re.findall(r"-?\d+(?:\.\d+)*(?:e-?\d+)?\w*", words):
            seen += 1
            if token in own or token in text:
                continue
            digits = len(token.partition(".")[2])
            value = float(re.match(r"-?[\d.]+(e-?\d+)?", token)[0])  # type: ignore[index]
            near = 0.5000001 * 10.0**-digits
            assert any(
                abs(value - number * unit) <= near for number in numbers for unit in (1, 100, 1e-6)
            ), f"{token} in {words!r}"
    assert seen > 100


def test_the_page_loads_nothing_and_runs_nothing(page: str) -> None:
    parser = Words()
    parser.feed(page)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in parser.tags}
    for _, attributes in parser.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href"):
                assert (value or "").startswith("data:image/")
    assert "url(" not in page
    assert "@import" not in page


def test_the_faces_on_the_page_are_the_shipped_portraits(data: Any) -> None:
    assert {one["name"] for one in data["samples"]} <= {path.name for path in PORTRAITS.iterdir()}


def test_the_data_holds_what_an_engineer_needs(data: Any) -> None:
    assert data["inspection"]["minimum_runtime"] == "1.14.0"
    assert data["inspection"]["input_type"] == "int8"
    assert data["calibration"]["used"] == 24
    assert {one["picture"] for one in data["calibration"]["skipped"]} == {"grey.png", "text.jpg"}
    assert len(data["noise"]) == 10
    assert all(5 < one["sqnr_db"] <= 150 for one in data["noise"])
    assert 0.97 < data["parity"]["percentile_1"] <= data["parity"]["median"] <= 1
    assert [one["what"] for one in data["people"]["curves"]] == ["float32", "int8", "pixels"]
    assert data["people"]["genuine_pairs"] == 18 * 17 // 2 + 2 * (6 * 5 // 2)
    for one in data["people"]["curves"]:
        assert abs(sum(one["genuine"]) - 1) < 0.01
        assert all(p["low"] <= p["frr"] + 1e-9 and p["frr"] <= p["high"] + 1e-9
                   for p in one["points"])  # fmt: skip
    assert any(one["trial"]["p50_ms"] > 0 for one in data["latency"])
    assert all(one["trial"]["memory_mb"] > 0 for one in data["latency"])


def test_a_figure_says_on_whom_and_that_they_were_calibrated_on(page: str, data: Any) -> None:
    people = data["people"]
    assert (people["people"], people["calibrated_on"], people["own"]) == (3, 2, False)
    on = "3 people, 183 genuine and 252 impostor pairs; calibrated on 2 of these people"
    assert f"equal error rate; {on}</span>" in page  # in the tile


def test_the_report_says_how_and_when_it_was_made(written: Path, page: str, data: Any) -> None:
    assert data["command"].startswith(f"convert-model {written / 'small.h5'} -o ")
    assert f"--labelled {written / 'people'}</code>" in page
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d UTC", data["made"])
    assert data["edgeface"] == edgeface.__version__


def test_thresholds_are_lines_in_the_histograms(page: str, data: Any) -> None:
    curves = data["people"]["curves"]
    assert page.count('class="mark"') == sum(len(one["thresholds"]) for one in curves) > 0
    for one in curves:
        assert one["thresholds"].keys() == one["tar"].keys()
        for far, score in one["thresholds"].items():
            shares = zip(one["edges"][:-1], one["impostor"], strict=True)
            above = sum(share for edge, share in shares if edge >= score)
            assert above <= float(far) + 1e-6


def test_the_estimates_are_those_of_the_documentation(page: str) -> None:
    model = load_model(CHECKOUT / "models" / "facenet-int8.tflite")
    network = model.path.read_bytes()[: model.description.network_bytes]
    found = cost(network, network)
    assert found.macs == found.int8_macs
    documented = (CHECKOUT / "docs" / "pi-cost.md").read_text(encoding="utf-8")
    assert f"| {found.macs / 1e6:,.1f} | 183 |" in documented
    for one in found.estimates:
        times = [f"{low:.0f} to {high:.0f}" for low, high in (one.one_core_ms, one.all_cores_ms)]
        (row,) = [row for row in documented.splitlines() if row.startswith(f"| Pi {one.board} ")]
        assert row.endswith(f"| {times[0]} | {times[1]} |")
        assert f"<td>Pi {one.board}</td>" in page
