"""Flatbuffers that we write follow the schema."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgeface_tools.network.to_tflite import float_tflite
from edgeface_tools.source.keras2 import read_legacy_h5
from edgeface_tools.tflite.flatbuffer import drop_unused, pack, unpack
from tests.helpers.interpreters import run
from tests.helpers.networks import SIDE, small_facenet


@pytest.fixture
def network(tmp_path: Path) -> bytes:
    return float_tflite(read_legacy_h5(small_facenet().save(tmp_path / "model.h5")))


def test_constants_start_at_multiples_of_sixteen(network: bytes) -> None:
    model = schema.Model.GetRootAs(network)
    start = np.frombuffer(network, np.uint8).ctypes.data
    filled = [model.Buffers(i) for i in range(model.BuffersLength())]
    for buffer in filled:
        if buffer.DataLength():
            assert (buffer.DataAsNumpy().ctypes.data - start) % 16 == 0


def test_unpacking_and_packing_changes_nothing(network: bytes) -> None:
    assert pack(unpack(network)) == network


def test_what_nothing_uses_is_dropped_and_the_rest_still_runs(network: bytes) -> None:
    model = unpack(network)
    tensors, buffers = len(model.subgraphs[0].tensors), len(model.buffers)
    orphan = schema.TensorT()
    orphan.name, orphan.shape, orphan.buffer = "orphan", [1], buffers
    unused = schema.BufferT()
    unused.data = np.zeros(4000, np.uint8)
    model.subgraphs[0].tensors.insert(0, orphan)
    model.buffers.append(unused)
    for form in model.subgraphs[0].operators:
        form.inputs = [i + 1 for i in form.inputs]
        form.outputs = [i + 1 for i in form.outputs]
    graph = model.subgraphs[0]
    graph.inputs, graph.outputs = [i + 1 for i in graph.inputs], [i + 1 for i in graph.outputs]
    for entry in (*model.signatureDefs[0].inputs, *model.signatureDefs[0].outputs):
        entry.tensorIndex += 1
    drop_unused(model)
    assert (len(graph.tensors), len(model.buffers)) == (tensors, buffers)
    picture = np.random.default_rng(0).normal(size=(SIDE, SIDE, 3))
    np.testing.assert_array_equal(run(pack(model), picture), run(network, picture))
