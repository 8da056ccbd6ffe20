"""The import graph of both packages, by room: `make import-graph`.

A room is a folder or a file at a package's top level. Takes in the source, which it reads without
importing it, and the layers that pyproject.toml declares for import-linter; prints rooms, floors
and arrows. Exit 1 if there is a circle, between rooms or between modules, or an arrow upwards.
Imports inside functions and those for types alone (`if TYPE_CHECKING`) count like all others; the
head line says how many there are. Only what the package's own `__init__` names for type checkers
is left out, since it gives those names lazily.
"""

from __future__ import annotations

import argparse
import ast
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGES = {"edgeface": "", "edgeface_tools": "tools"}
"""Each package and the folder of the checkout it stands in."""
MOST_ROOMS = 20

Arrows = Mapping[str, set[str]]
"""Who imports whom: importer to imported."""


@dataclass(frozen=True)
class House:
    """One package: its modules, and the arrows between its rooms.

    rooms: modules in each room; arrows: room to rooms; lazy, typing: how many of the imports stand
    in a function, or serve types alone; circles: each a path of modules or rooms that ends where it
    began; upwards: pairs of modules whose arrow goes against the declared layers.
    """

    package: str
    rooms: Mapping[str, int]
    arrows: Arrows
    imports: int
    lazy: int
    typing: int
    circles: list[list[str]]
    upwards: list[tuple[str, str]]

    @property
    def floors(self) -> dict[str, int]:
        """How far above the ground each room lies: 1 if it imports no other. Empty in a circle."""
        try:
            order = TopologicalSorter(self.arrows).static_order()
            floors: dict[str, int] = {}
            for room in order:
                floors[room] = 1 + max((floors[below] for below in self.arrows[room]), default=0)
        except CycleError:
            return {}
        return floors

    @property
    def sound(self) -> bool:
        """No circle, no arrow upwards, and rooms that fit on one screen."""
        return not self.circles and not self.upwards and len(self.rooms) <= MOST_ROOMS


def room_of(module: str) -> str:
    """`edgeface.service.loop` lies in `service`; what the package itself gives is `__init__`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def survey(root: Path, package: str, layers: list[set[str]]) -> House:
    """The house of a package in the folder `root`, which must be on sys.path."""
    graph = grimp.build_graph(package, cache_dir=None)
    runtime = grimp.build_graph(package, exclude_type_checking_imports=True, cache_dir=None)
    # The package itself names what it gives lazily for type checkers alone: it stands on nothing.
    pairs = [
        (a, b)
        for a in sorted(graph.modules)
        for b in sorted(_imported(runtime if a == package else graph, a))
    ]
    rooms: dict[str, int] = defaultdict(int)
    for module in graph.modules:
        rooms[room_of(module)] += 1
    arrows: dict[str, set[str]] = {room: set() for room in sorted(rooms)}
    for importer, imported in pairs:
        if room_of(importer) != room_of(imported):
            arrows[room_of(importer)].add(room_of(imported))
    modules = {
        module: _imported(runtime if module == package else graph, module)
        for module in graph.modules
    }
    circles = [circle for circle in (_circle(arrows), _circle(modules)) if circle]
    details = [
        detail for a, b in pairs for detail in graph.get_import_details(importer=a, imported=b)
    ]
    in_functions = _imports_in_functions(root, package)
    return House(
        package,
        dict(rooms),
        arrows,
        imports=len(details),
        lazy=sum((d["importer"], d["line_number"]) in in_functions for d in details),
        typing=len(pairs) - sum(len(_imported(runtime, a)) for a in runtime.modules),
        circles=circles,
        upwards=[pair for pair in pairs if _climbs(*pair, layers)],
    )


def declared_layers(pyproject: Path, package: str) -> list[set[str]]:
    """The package's layers, the highest first; rooms of one layer may not import each other."""
    contracts = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"]
    for contract in contracts:
        if contract["type"] == "layers" and contract["containers"] == [package]:
            return [{room.strip() for room in layer.split("|")} for layer in contract["layers"]]
    raise SystemExit(f"{pyproject} declares no layers for {package}; see [tool.importlinter]")


def _imports_in_functions(root: Path, package: str) -> set[tuple[str, int]]:
    """Module and line of every import that runs only when its function is called."""
    found = set()
    for path in (root / package).rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = (n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom))
                found |= {(module, statement.lineno) for statement in inner}
    return found


def _imported(graph: grimp.ImportGraph, module: str) -> set[str]:
    return set(graph.find_modules_directly_imported_by(module))


def _circle(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    """One circle, if there is any."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle[::-1]  # graphlib lists the imported first
    return []


def _climbs(importer: str, imported: str, layers: list[set[str]]) -> bool:
    """Whether the imported room lies on the importer's floor or above. What the package itself
    gives has no declared floor: an arrow upwards into it is a circle."""
    here, there = room_of(importer), room_of(imported)
    floor = {room: number for number, layer in enumerate(layers) for room in layer}
    if here == there or "__init__" in (here, there):
        return False
    return here not in floor or there not in floor or floor[there] <= floor[here]


def show(house: House) -> None:
    """Print a house, the highest room first."""
    arrows = sum(map(len, house.arrows.values()))
    print(
        f"{house.package}: {len(house.rooms)} rooms (at most {MOST_ROOMS}) on "
        f"{max(house.floors.values(), default=0)} floors, {arrows} arrows; {house.imports} "
        f"imports, {house.lazy} of them in functions, {house.typing} for types alone"
    )
    print("floor  room          modules  imports")
    for room in sorted(house.rooms, key=lambda room: (-house.floors.get(room, 0), room)):
        below = " ".join(sorted(house.arrows[room]))
        print(f"{house.floors.get(room, 0):5}  {room:13} {house.rooms[room]:7}  {below}".rstrip())
    for circle in house.circles:
        print(f"CIRCLE {' -> '.join(circle)}")
    for importer, imported in house.upwards:
        print(f"UPWARDS {importer} -> {imported}")
    print(f"circles: {len(house.circles)}, arrows upwards: {len(house.upwards)}\n")


def main() -> None:
    """Survey both packages of a tree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the tree to look at")
    root = parser.parse_args().root.resolve()
    sys.path[:0] = [str(root), str(root / "tools")]
    houses = [
        survey(root / folder, name, declared_layers(root / "pyproject.toml", name))
        for name, folder in PACKAGES.items()
    ]
    for house in houses:
        show(house)
    sys.exit(0 if all(house.sound for house in houses) else 1)


if __name__ == "__main__":
    main()
