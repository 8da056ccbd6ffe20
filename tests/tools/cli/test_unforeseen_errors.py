"""An unexpected error is one sentence and exit 2; --debug adds the traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface_tools.cli import convert_model, train_triplet
from edgeface_tools.tflite import inspection


def test_convert_model_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _status_of_failing_inspect(monkeypatch) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "convert-model: an unexpected error (ZeroDivisionError: by chance); run it "
        "again with convert-model --debug, and report what it prints\n"
    )


def test_convert_model_shows_the_traceback_with_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _status_of_failing_inspect(monkeypatch, "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


def test_train_triplet_shows_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(train_triplet.cli, "invoke", fail)
    with pytest.raises(SystemExit) as stop:
        train_triplet.main(["base.h5", ".", "-o", "out.keras"])
    assert stop.value.code == 2
    shown = capsys.readouterr().err
    assert "run it again with train-triplet --debug" in shown
    assert "Traceback" not in shown


def _status_of_failing_inspect(monkeypatch: pytest.MonkeyPatch, *options: str) -> object:
    def fail(path: Path) -> None:
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(inspection, "inspect", fail)
    with pytest.raises(SystemExit) as stop:
        convert_model.main([*options, "inspect", "any.tflite"])
    return stop.value.code
