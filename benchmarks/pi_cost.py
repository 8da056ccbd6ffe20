"""What the model costs on a Raspberry Pi: its operators counted, and times estimated from that.

    python benchmarks/pi_cost.py > docs/pi-cost.md      (make pi-cost)
    python benchmarks/pi_cost.py --json                 the operators as this machine runs them

Takes in the shipped model, hands on Markdown. Multiply-accumulates are counted from the shapes;
what XNNPACK takes over is read from the interpreter after it has made its plan. The times are
arithmetic and not a measurement: `edgeface bench` on the board is.
"""

from __future__ import annotations

import json
import platform
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ai_edge_litert.interpreter import Interpreter

from edgeface.pipeline.model_file import load_model
from edgeface_tools.tflite.cost import BOARDS, EFFICIENCY, PARALLEL, estimate, macs
from edgeface_tools.tflite.flatbuffer import operators, unpack


@dataclass
class Line:
    """One kind of operator: how many there are, their work, and how many XNNPACK runs."""

    count: int = 0
    macs: int = 0
    in_xnnpack: int = 0


def count(path: Path) -> dict[str, Line]:
    """The operators of a model by kind."""
    description = load_model(path).description
    found = operators(unpack(path.read_bytes()[: description.network_bytes]))
    taken = _taken_over(path)
    table: dict[str, Line] = defaultdict(Line)
    for position, operator in enumerate(found):
        line = table[operator.name]
        line.count += 1
        line.macs += macs(operator)
        line.in_xnnpack += position in taken
    return dict(table)


def _taken_over(path: Path) -> set[int]:
    """Positions of the operators that the interpreter's plan leaves to XNNPACK.

    A delegate's node replaces everything between its inputs and its outputs: what is met on the
    way back from the outputs is in it.
    """
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    details: list[dict[str, Any]] = interpreter._get_ops_details()
    made_by = {
        int(tensor): detail["index"]
        for detail in details
        if detail["op_name"] != "DELEGATE"
        for tensor in detail["outputs"]
    }
    inputs_of = {detail["index"]: detail["inputs"] for detail in details}
    taken: set[int] = set()
    for node in (detail for detail in details if detail["op_name"] == "DELEGATE"):
        edge = {int(tensor) for tensor in node["inputs"]}
        todo = [int(tensor) for tensor in node["outputs"]]
        while todo:
            tensor = todo.pop()
            maker = made_by.get(tensor)
            if tensor in edge or maker is None or maker in taken:
                continue
            taken.add(maker)
            todo += [int(tensor) for tensor in inputs_of[maker]]
    return taken


def as_markdown(table: dict[str, Line], machine: str) -> str:
    """The page."""
    total = sum(line.macs for line in table.values())
    whole = sum(line.count for line in table.values())
    outside = whole - sum(line.in_xnnpack for line in table.values())
    lines = [
        "# What a face costs on a Raspberry Pi",
        "",
        "Made by `make pi-cost`. `edgeface bench` on your board replaces it with measurements.",
        "",
        "## Operators of the int8 model",
        "",
        "| operator | count | M multiply-accumulates | run by XNNPACK |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, line in sorted(table.items(), key=lambda item: -item[1].macs):
        lines.append(f"| {name} | {line.count} | {line.macs / 1e6:,.1f} | {line.in_xnnpack} |")
    lines += [
        f"| all | {whole} | {total / 1e6:,.1f} | {whole - outside} |",
        "",
        f"Read from LiteRT's own plan on {machine}: {outside} operators fall back to the built-in "
        "kernels. `make test-pi` reads the plan on emulated ARM cores too and stops if any does.",
        "",
        "## Estimated time of the encoder",
        "",
        "**An estimate, not a measurement**: no board was available. Multiply-accumulates divided "
        "by the clock and by the most that a core can do per cycle, of which "
        f"{EFFICIENCY[1]:.0%} (good) to {EFFICIENCY[0]:.0%} (poor) is reached; four cores count "
        f"as {4 * PARALLEL:g}.",
        "",
        "| board | core | GHz | int8 per cycle, at best | one core, ms | four cores, ms |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for board in BOARDS:
        found = estimate(total, board)
        one, four = (
            f"{good:.0f} to {poor:.0f}" for good, poor in (found.one_core_ms, found.all_cores_ms)
        )
        lines.append(
            f"| Pi {board.name} | {board.core} | {board.clock} | {board.macs_per_cycle} | "
            f"{one} | {four} |"
        )
    lines += [
        "",
        "The A53 and the A72 multiply eight bits by widening (SMULL, SMLAL; 8 and up to 16 "
        "products per cycle), the A76 has the dot product (two SDOT per cycle, 16 products each). "
        "Detection (BlazeFace, on a few squares per frame) comes on top, about a third of the "
        "encoder on x86. A hot board is slower, since it is throttled.",
    ]
    return "\n".join(lines)


def main() -> None:
    table = count(load_model().path)
    if "--json" in sys.argv:
        print(json.dumps({name: asdict(line) for name, line in table.items()}))
    else:
        print(as_markdown(table, platform.machine()))


if __name__ == "__main__":
    main()
