"""Which way the simulator's modules import: those for type checking count as well."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import service.simulator

NAME = service.simulator.__name__
ROOT = Path(service.simulator.__path__[0])
LAYERS = (
    {"errcodes", "crypto", "settings", "stats"},
    {"wire"},
    {"state"},
    {"faults"},
    {"context"},
    {"endpoints"},
    {"control"},
    {"app"},
    {"__main__"},
)
"""Modules and packages; each imports from those in the lines above its own only."""


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join((NAME, *(part for part in parts if part != "__init__")))


MODULES = {module_of(path): ast.parse(path.read_text()) for path in ROOT.rglob("*.py")}


def imports(tree: ast.Module) -> set[str]:
    """Return what is imported of this project, a package's submodule by its own name."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(inside & MODULES.keys() or {node.module})
    return {name for name in found if name.startswith("service.")}


GRAPH = {module: imports(tree) for module, tree in MODULES.items()}


def part_of(module: str) -> str:
    """Return the module or package at the top of the simulator."""
    return module.removeprefix(f"{NAME}.").partition(".")[0]


def test_of_the_service_it_imports_the_length_of_the_backlog_only() -> None:
    imported = set().union(*GRAPH.values())
    assert {name for name in imported if not name.startswith(NAME)} == {"service.port_check"}


def test_no_module_imports_itself_through_others() -> None:
    assert set(TopologicalSorter(GRAPH).static_order()) >= MODULES.keys()


def test_each_layer_imports_from_those_above_it_only() -> None:
    layers = {part: number for number, parts in enumerate(LAYERS) for part in parts}
    against = {
        (module, name)
        for module, names in GRAPH.items()
        for name in names
        if name.startswith(f"{NAME}.")
        and part_of(name) != part_of(module)
        and layers[part_of(name)] >= layers[part_of(module)]
    }
    assert against == set()
