r"""Which operator versions each TFLite runtime has, found by trying.

    python -m benchmarks.operators .venv-tflite/bin/python .venv-tools/bin/python \
        > tools/edgeface_tools/tflite/versions.json

Writes a network of one operator for each operator of the schema and each version, and opens it in
the runtimes of the Pythons named, the oldest first. A runtime looks an operator up by code and
version before anything else, and says "Didn't find op" where it has none: any other error means
that it has it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from edgeface_tools.tflite.flatbuffer import pack

_MOST_VERSIONS = 16
_NOT_CALLED = ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")
_WORKER = """
import json, sys
from pathlib import Path
try:
    from tflite_runtime.interpreter import Interpreter
except ImportError:
    from ai_edge_litert.interpreter import Interpreter
found = {}
for path in sorted(Path(sys.argv[1]).glob("*.tflite")):
    name, version = path.stem.split("@")
    try:
        Interpreter(model_path=str(path))
        known = True
    except Exception as error:
        known = "find op for builtin" not in str(error)
    if known:
        found[name] = max(found.get(name, 0), int(version))
print(json.dumps(found))
"""


def one_operator(code: int, version: int) -> bytes:
    """A network that only calls an operator, with a float in and a float out."""
    entry = schema.OperatorCodeT()
    entry.builtinCode, entry.deprecatedBuiltinCode = code, min(code, 127)
    entry.version = version
    tensors = []
    for name in ("in", "out"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, [1], 0, 0
        tensors.append(tensor)
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    graph = schema.SubGraphT()
    graph.name, graph.tensors, graph.operators = "main", tensors, [operator]
    graph.inputs, graph.outputs = [0], [1]
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [entry], [graph]
    model.buffers = [schema.BufferT()]
    return pack(model)


def versions_in(python: str) -> dict[str, int]:
    """The highest version of each operator that a Python's runtime has."""
    codes = {
        name: code
        for name, code in vars(schema.BuiltinOperator).items()
        if isinstance(code, int) and name not in _NOT_CALLED
    }
    with tempfile.TemporaryDirectory() as scratch:
        for name, code in codes.items():
            for version in range(1, _MOST_VERSIONS + 1):
                path = Path(scratch) / f"{name}@{version}.tflite"
                path.write_bytes(one_operator(code, version))
        done = subprocess.run(
            [python, "-c", _WORKER, scratch], capture_output=True, text=True, check=True
        )
    found: dict[str, int] = json.loads(done.stdout.strip().splitlines()[-1])
    # One that is never looked up, in any version, is unknown even to the file format.
    return {name: version for name, version in found.items() if version < _MOST_VERSIONS}


if __name__ == "__main__":
    oldest, newest = (versions_in(python) for python in sys.argv[1:3])
    print(json.dumps({"oldest": oldest, "newest": newest}, indent=1, sort_keys=True))
