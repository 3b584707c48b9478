"""Imports run one way, between rooms and between files, and a name means one thing in the house."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.conftest import REPOSITORY, tool

LAYERS = [
    {"errors", "visible_text", "syntax_trees", "scoped_value"},
    {"bounds", "spec"},
    {"api", "specs"},
    {"progress"},
    {"storage"},
    {"figure_style", "results", "registry"},
    {"answers", "execution", "metrics"},
    {"models"},
    {"quantization"},
    {"filters", "evaluate"},
    {"stats"},
    {"noise", "hosting"},
    {"study"},
    {"report"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
house = tool("house")
FILES = house.modules()
GRAPH = house.file_graph()
HOST = {name: path for name, path in FILES.items() if house.room(name) not in ("", "plugins")}


def test_every_part_has_a_layer() -> None:
    assert {house.room(name) for name in HOST} == set(RANK)


@pytest.mark.parametrize("module", HOST)
def test_a_room_imports_those_before_it(module: str) -> None:
    for other in GRAPH[module]:
        assert house.room(other) != "plugins", f"the host knows no plugin by name, and {module} imports {other}"
        if other != "qharness":
            assert RANK[house.room(other)] <= RANK[house.room(module)], f"{module} imports {other}"


def test_no_files_import_in_a_circle() -> None:
    """A package's `__init__` is a file as well."""
    assert house.depths({name: others & GRAPH.keys() - {"qharness"} for name, others in GRAPH.items()})


def test_a_circle_is_seen() -> None:
    with pytest.raises(ValueError, match="b imports itself"):
        house.depths({"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("b")})


@pytest.mark.parametrize("module", FILES)
def test_files_are_short(module: str) -> None:
    assert len(FILES[module].read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("package", ["qharness.models", "qharness.quantization"])
def test_importing_a_room_imports_no_file_of_it(package: str) -> None:
    code = f"import sys, {package}; print([name for name in sys.modules if name.startswith('{package}.')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def twice(names: Iterator[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def test_a_file_name_occurs_once() -> None:
    assert twice(path.name for path in FILES.values() if path.stem not in ("__init__", "__main__")) == []


def test_a_class_name_occurs_once() -> None:
    """Also of those that only their file knows."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in FILES.values())
    assert twice(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)) == []


def test_dictionaries_of_unknown_shape_are_few() -> None:
    """At the borders of files and of lm-eval only."""
    shapes = (ast.parse("dict[str, Any]"), ast.parse("Mapping[str, Any]"), ast.parse("MutableMapping[str, Any]"))
    wanted = {ast.dump(shape.body[0].value) for shape in shapes}  # type: ignore[attr-defined]
    found = Counter(
        name
        for name, path in HOST.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Subscript) and ast.dump(node) in wanted
    )
    assert found.total() <= 20, found


def test_contributing_has_the_rooms_in_their_order() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("\\", "")
    table = text.split("tests/test_layers.py`):\n\n")[1].split("\n\n")[0]
    rooms = [room for row in table.split("\n")[2:] for room in row.split("|")[1].strip().split(", ")]
    assert set(rooms) == set(RANK), set(rooms) ^ set(RANK)
    assert [RANK[room] for room in rooms] == sorted(RANK[room] for room in rooms)


def test_the_picture_is_drawn_from_the_imports() -> None:
    assert house.PICTURE.read_text(encoding="utf-8") == house.draw(house.room_graph()), "make docs-tables"
