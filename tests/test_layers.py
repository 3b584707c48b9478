"""Imports run one way: a module of the host imports its own layer or those before it."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.conftest import REPOSITORY

LAYERS = [
    {"errors", "api", "bounds", "specs", "syntax_trees", "visible_text"},
    {"figure_style", "progress", "spec", "storage"},
    {"results"},
    {"registry"},
    {"execution"},
    {"metrics"},
    {"models"},
    {"quantization"},
    {"filters", "evaluate"},
    {"stats"},
    {"noise"},
    {"hosting"},
    {"study"},
    {"report"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def imported(path: Path) -> set[str]:
    """The parts of the host that a module imports, anywhere in it, to run and not only to name types."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    modules = [
        node.module if node.module != "qharness" else f"qharness.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and id(node) not in typing_only
        and (node.module or "").startswith("qharness")
        for alias in node.names
    ]
    return {module.split(".")[1] for module in modules if module}


def test_every_part_has_a_layer() -> None:
    parts = {path.stem for path in (REPOSITORY / "qharness").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert parts - {"__init__", "py", "__pycache__"} == set(RANK)


def test_imports_run_one_way() -> None:
    for path in (REPOSITORY / "qharness").rglob("*.py"):
        part = path.relative_to(REPOSITORY / "qharness").parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for other in imported(path):
            assert RANK[other] <= RANK[part], f"{path} imports {other}"
        assert len(path.read_text().splitlines()) <= 300, f"{path} has grown too long"


def test_the_host_knows_no_plugin_by_name() -> None:
    """The tuple of default plugins aside."""
    for path in (REPOSITORY / "qharness").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith(("qharness.plugins", "qharness.tasks")), path


def test_contributing_has_the_rooms_in_their_order() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("\\", "")
    table = text.split("tests/test_layers.py`):\n\n")[1].split("\n\n")[0]
    rooms = [room for row in table.split("\n")[2:] for room in row.split("|")[1].strip().split(", ")]
    assert set(rooms) == set(RANK), set(rooms) ^ set(RANK)
    assert [RANK[room] for room in rooms] == sorted(RANK[room] for room in rooms)
