"""Runtime: one place chooses the interpreter, and its errors are clear."""

from __future__ import annotations

import gc
import os
import sys
import weakref
from pathlib import Path

import pytest

from edgeface.errors import ConfigError, ModelError, RuntimeMissing
from edgeface.pipeline.model_file import default_model_path
from edgeface.pipeline.pipeline import FacePipeline
from edgeface.pipeline.runtime import choose_runtime, installed_runtimes, open_network


def test_the_runtime_in_use_is_the_wanted_one(pipeline: FacePipeline) -> None:
    assert pipeline.runtime == os.environ.get("EDGEFACE_RUNTIME", installed_runtimes()[0])


def test_an_unknown_runtime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEFACE_RUNTIME", "onnx")
    with pytest.raises(ConfigError, match="onnx"):
        choose_runtime()


def test_a_missing_runtime_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    (missing,) = {"litert", "tflite-runtime"} - set(installed_runtimes())
    monkeypatch.setenv("EDGEFACE_RUNTIME", missing)
    with pytest.raises(RuntimeMissing, match="pip install"):
        choose_runtime()


def test_a_32_bit_system_gets_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEFACE_RUNTIME", raising=False)
    monkeypatch.setattr("edgeface.pipeline.runtime.find_spec", lambda name: None)
    with pytest.raises(RuntimeMissing, match="a TFLite interpreter is not installed"):
        choose_runtime()
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    with pytest.raises(RuntimeMissing, match="64-bit"):
        choose_runtime()


def test_a_file_that_is_not_a_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.tflite"
    path.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(ModelError):
        open_network(path)


def test_the_input_and_output_are_described() -> None:
    network = open_network(default_model_path(), threads=1)
    assert network.inputs[0].shape == (1, 160, 160, 3)
    assert network.outputs[0].shape == (1, 128)


def test_a_pipeline_that_is_let_go_frees_its_networks_at_once() -> None:
    """A reload opens another one; in a cycle of references both would take memory for long."""
    gc.disable()
    try:
        pipeline = FacePipeline()
        gone = weakref.ref(pipeline)
        del pipeline
        assert gone() is None
    finally:
        gc.enable()
