"""Evaluate: the figures are those that counting by hand gives, and no pair is dropped."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeface.bench.evaluate import Pair, best_threshold, evaluate, read_pairs
from edgeface.errors import ConfigError
from tests.conftest import PORTRAITS, SHARED, CommandLine

Embeddings = dict[Path, NDArray[np.float32] | None]


def pair(number: int, same: bool) -> Pair:
    return Pair(Path(f"a{number}"), Path(f"b{number}"), same)


def at_cosine(score: float) -> NDArray[np.float32]:
    """Two rows with this cosine."""
    return np.array([[1.0, 0.0], [score, (1 - score**2) ** 0.5]], np.float32)


def scored(scores: list[float], kinds: list[bool]) -> tuple[list[Pair], Embeddings]:
    pairs: list[Pair] = []
    embeddings: Embeddings = {}
    for number, (score, same) in enumerate(zip(scores, kinds, strict=True)):
        pairs.append(pair(number, same))
        one, other = at_cosine(score)
        embeddings |= {pairs[-1].first: one, pairs[-1].second: other}
    return pairs, embeddings


lists = st.lists(
    st.tuples(st.sampled_from([i / 20 for i in range(-20, 21)]), st.booleans()),
    min_size=2,
    max_size=40,
).filter(lambda rows: len({kind for _, kind in rows}) == 2)


@given(lists)
def test_the_best_threshold_makes_the_fewest_errors(rows: list[tuple[float, bool]]) -> None:
    scores, kinds = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])

    def errors(threshold: float) -> int:
        return int(((scores >= threshold) != kinds).sum())

    assert errors(best_threshold(scores, kinds)) <= min(
        errors(t) for t in np.linspace(-1.01, 1.01, 203)
    )


@given(lists, st.floats(-1, 1))
def test_accuracy_at_a_fixed_threshold_is_a_count(
    rows: list[tuple[float, bool]], threshold: float
) -> None:
    scores, kinds = [r[0] for r in rows], [r[1] for r in rows]
    if len(rows) < 3 or any(abs(score - threshold) < 1e-6 for score in scores):
        return
    result = evaluate(*scored(scores, kinds), threshold)
    right = sum((score >= threshold) == kind for score, kind in rows)
    assert result.accuracy == pytest.approx(right / len(rows))
    genuine = [s for s, k in rows if k]
    impostor = [s for s, k in rows if not k]
    wins = sum(g > i for g in genuine for i in impostor)
    assert wins / len(genuine) / len(impostor) <= result.auc + 1e-9 <= 1 + 1e-9


def test_a_failed_picture_counts_as_not_the_same() -> None:
    kinds = [True] * 10 + [False] * 10
    pairs, embeddings = scored([0.9] * 10 + [0.1] * 10, kinds)
    embeddings[pairs[0].first] = None
    embeddings[pairs[15].second] = None
    result = evaluate(pairs, embeddings, 0.5)
    assert (result.pairs, result.failures) == (20, 2)
    assert result.accuracy == pytest.approx(19 / 20)
    assert result.tar["0.01"] == pytest.approx(0.9)


def test_too_few_pairs_choose_no_threshold() -> None:
    few = scored([0.9, 0.1], [True, False])
    with pytest.raises(ConfigError, match="--threshold"):
        evaluate(*few)
    assert evaluate(*few, 0.5).accuracy_std == 0


def test_figures_of_a_case_worked_by_hand() -> None:
    # Ten of each: one genuine pair below one impostor pair.
    scores = [0.9] * 9 + [0.3] + [0.1] * 9 + [0.4]
    result = evaluate(*scored(scores, [True] * 10 + [False] * 10))
    assert result.eer == pytest.approx(0.1)
    assert result.tar == {"0.01": 0.9, "0.001": 0.9}
    assert result.auc == pytest.approx(99 / 100)
    assert 0.85 <= result.accuracy <= 0.95


def test_the_pairs_format(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text("2\nAda\t1\t12\nAda\t3\tBob_B\t4\n")
    assert read_pairs(path) == [
        Pair(Path("Ada/Ada_0001.jpg"), Path("Ada/Ada_0012.jpg"), True),
        Pair(Path("Ada/Ada_0003.jpg"), Path("Bob_B/Bob_B_0004.jpg"), False),
    ]


@pytest.mark.parametrize("line", ["Ada 1 2", "Ada\tx\t2", "Ada\t1", "a\t1\tb\t2\t3"])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(f"Ada\t1\t2\n{line}\n")
    with pytest.raises(ConfigError, match="line 2"):
        read_pairs(path)


def test_eval_drives_the_real_pipeline(edgeface: CommandLine, tmp_path: Path) -> None:
    images = tmp_path / "images"
    names = {"Obama": ["obama", "obama2", "obama3"], "Biden": ["biden"], "Collins": ["collins"]}
    for person, files in names.items():
        (images / person).mkdir(parents=True)
        for number, file in enumerate(files, 1):
            shutil.copy(PORTRAITS / f"{file}.jpg", images / person / f"{person}_{number:04d}.jpg")
    (images / "Nobody").mkdir()
    cv2.imwrite(str(images / "Nobody" / "Nobody_0001.jpg"), np.full((250, 250, 3), 77, np.uint8))
    pairs = tmp_path / "pairs.txt"
    pairs.write_text(
        "Obama\t1\t2\nObama\t1\t3\nObama\t2\t3\n"
        "Obama\t1\tBiden\t1\nObama\t2\tCollins\t1\nBiden\t1\tNobody\t1\n"
    )
    out = edgeface(
        "eval", "--images", images, "--pairs", pairs, "--threshold", "0.42", "--json"
    ).json
    assert out["pairs"] == 6
    assert out["failures"] == 1
    assert out["accuracy"] == 1
    assert out["tar"] == {"0.01": 1, "0.001": 1}
    assert out["auc"] == 1
    assert {"accuracy_std", "eer", "threshold"} <= set(out)


@pytest.mark.skipif(
    not (SHARED / "data" / "lfw-view1.tar").exists(), reason="LFW View 1 is not on this machine"
)
def test_accuracy_on_lfw_holds(edgeface: CommandLine, tmp_path: Path) -> None:
    """200 of View 1's development pairs at the threshold of the whole list."""
    import tarfile

    with tarfile.open(SHARED / "data" / "lfw-view1.tar") as archive:
        listed = archive.extractfile("lfw-view1/pairsDevTrain.txt")
        assert listed is not None
        lines = listed.read().decode().splitlines()[1:]
        wanted = lines[0:1100:11] + lines[1100::11]
        pairs = tmp_path / "pairs.txt"
        pairs.write_text("\n".join(wanted))
        files = {
            f"lfw-view1/images/{picture}"
            for one in read_pairs(pairs)
            for picture in (one.first, one.second)
        }
        archive.extractall(
            tmp_path, [m for m in archive.getmembers() if m.name in files], filter="data"
        )
    out = edgeface(
        "eval",
        "--images",
        tmp_path / "lfw-view1" / "images",
        "--pairs",
        pairs,
        "--threshold",
        "0.42",
        "--json",
    ).json
    assert out["failures"] == 0
    assert out["accuracy"] >= 0.98
