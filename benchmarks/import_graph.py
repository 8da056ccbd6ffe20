"""The import graph of both packages, by unit: `make import-graph`.

A unit is a folder or a file at a package's top level. Takes in the source, which it reads without
importing it, and the layers that pyproject.toml declares for import-linter; prints units, levels
and arrows. Exit 1 if there is a cycle, between units or between modules, or an arrow upwards.
Imports inside functions and those only for types (`if TYPE_CHECKING`) count like all others; the
first line says how many there are. Only the names that the package's own `__init__` imports for
type checkers are left out, since it imports them lazily.
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
"""Each package and its folder in the checkout."""
MOST_UNITS = 20

Arrows = Mapping[str, set[str]]
"""Importer to imported."""


@dataclass(frozen=True)
class PackageGraph:
    """One package: its modules, and the arrows between its units.

    units: modules in each unit; arrows: unit to units; lazy, typing: how many of the imports are in
    a function, or only for types; cycles: each a path of modules or units that ends where it began;
    upwards: pairs of modules whose arrow goes against the declared layers.
    """

    package: str
    units: Mapping[str, int]
    arrows: Arrows
    imports: int
    lazy: int
    typing: int
    cycles: list[list[str]]
    upwards: list[tuple[str, str]]

    @property
    def levels(self) -> dict[str, int]:
        """The level of each unit: 1 if it imports no other. Empty if there is a cycle."""
        try:
            order = TopologicalSorter(self.arrows).static_order()
            levels: dict[str, int] = {}
            for unit in order:
                levels[unit] = 1 + max((levels[below] for below in self.arrows[unit]), default=0)
        except CycleError:
            return {}
        return levels

    @property
    def sound(self) -> bool:
        """No cycle, no arrow upwards, and few enough units for one screen."""
        return not self.cycles and not self.upwards and self.declared <= MOST_UNITS

    @property
    def declared(self) -> int:
        """How many units there are, as in docs/architecture.md: the package itself is none."""
        return len(self.units.keys() - {"__init__"})


def unit_of(module: str) -> str:
    """`edgeface.service.loop` is in `service`; the package itself is `__init__`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def survey(root: Path, package: str, layers: list[set[str]]) -> PackageGraph:
    """The graph of a package in the folder `root`, which must be on sys.path."""
    graph = grimp.build_graph(package, cache_dir=None)
    runtime = grimp.build_graph(package, exclude_type_checking_imports=True, cache_dir=None)
    # The package itself imports its lazy names only for type checkers: it depends on nothing.
    pairs = [
        (a, b)
        for a in sorted(graph.modules)
        for b in sorted(_imported(runtime if a == package else graph, a))
    ]
    units: dict[str, int] = defaultdict(int)
    for module in graph.modules:
        units[unit_of(module)] += 1
    arrows: dict[str, set[str]] = {unit: set() for unit in sorted(units)}
    for importer, imported in pairs:
        if unit_of(importer) != unit_of(imported):
            arrows[unit_of(importer)].add(unit_of(imported))
    modules = {
        module: _imported(runtime if module == package else graph, module)
        for module in graph.modules
    }
    cycles = [cycle for cycle in (_cycle(arrows), _cycle(modules)) if cycle]
    details = [
        detail for a, b in pairs for detail in graph.get_import_details(importer=a, imported=b)
    ]
    in_functions = _imports_in_functions(root, package)
    return PackageGraph(
        package,
        dict(units),
        arrows,
        imports=len(details),
        lazy=sum((d["importer"], d["line_number"]) in in_functions for d in details),
        typing=len(pairs) - sum(len(_imported(runtime, a)) for a in runtime.modules),
        cycles=cycles,
        upwards=[pair for pair in pairs if _climbs(*pair, layers)],
    )


def declared_layers(pyproject: Path, package: str) -> list[set[str]]:
    """The package's layers, the highest first; units of one layer may not import each other."""
    contracts = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"]
    for contract in contracts:
        if contract["type"] == "layers" and contract["containers"] == [package]:
            return [{unit.strip() for unit in layer.split("|")} for layer in contract["layers"]]
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


def _cycle(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    """One cycle, if there is any."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle[::-1]  # graphlib lists the imported first
    return []


def _climbs(importer: str, imported: str, layers: list[set[str]]) -> bool:
    """Whether the imported unit is in the importer's layer or above. The package itself has no
    declared layer: an arrow upwards into it is a cycle."""
    here, there = unit_of(importer), unit_of(imported)
    level = {unit: number for number, layer in enumerate(layers) for unit in layer}
    if here == there or "__init__" in (here, there):
        return False
    return here not in level or there not in level or level[there] <= level[here]


def show(found: PackageGraph) -> None:
    """Print a package's graph, the highest unit first."""
    arrows = sum(map(len, found.arrows.values()))
    print(
        f"{found.package}: {found.declared} units (at most {MOST_UNITS}) on "
        f"{max(found.levels.values(), default=0)} levels, {arrows} arrows; {found.imports} "
        f"imports, {found.lazy} of them in functions, {found.typing} only for types"
    )
    print("level  unit          modules  imports")
    for unit in sorted(found.units, key=lambda unit: (-found.levels.get(unit, 0), unit)):
        below = " ".join(sorted(found.arrows[unit]))
        print(f"{found.levels.get(unit, 0):5}  {unit:13} {found.units[unit]:7}  {below}".rstrip())
    for cycle in found.cycles:
        print(f"CYCLE {' -> '.join(cycle)}")
    for importer, imported in found.upwards:
        print(f"UPWARDS {importer} -> {imported}")
    print(f"cycles: {len(found.cycles)}, arrows upwards: {len(found.upwards)}\n")


def main() -> None:
    """Survey both packages of a tree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the tree to read")
    root = parser.parse_args().root.resolve()
    sys.path[:0] = [str(root), str(root / "tools")]
    graphs = [
        survey(root / folder, name, declared_layers(root / "pyproject.toml", name))
        for name, folder in PACKAGES.items()
    ]
    for found in graphs:
        show(found)
    sys.exit(0 if all(found.sound for found in graphs) else 1)


if __name__ == "__main__":
    main()
