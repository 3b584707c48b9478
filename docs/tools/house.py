"""Draws docs/house.svg, the rooms of the host and who imports whom, from the imports: `make docs-tables`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PICTURE = REPOSITORY / "docs/house.svg"
Graph = Mapping[str, frozenset[str]]
WIDTH, BOX, ROW, GAP, MARGIN = 1000, 44, 92, 14, 20


def modules() -> dict[str, Path]:
    """The files of the host and of the built-in plugins, by the dotted name that imports them."""
    found = {}
    for top, prefix in (("qharness", ""), ("plugins", "qharness.")):
        for path in sorted((REPOSITORY / top).rglob("*.py")):
            if "templates" not in path.as_posix():
                name = prefix + ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
                found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path, known: Mapping[str, Path]) -> frozenset[str]:
    """The modules of ours that a file imports, anywhere in it, to run and not only to name types."""
    return frozenset(_imports(ast.parse(path.read_text(encoding="utf-8")), known))


def _imports(tree: ast.AST, known: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "qharness":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        yield from _imports(node, known)


def file_graph() -> Graph:
    """Each module with those that it imports."""
    known = modules()
    return {name: imports(path, known) - {name} for name, path in known.items()}


def room(module: str) -> str:
    """The part of the host that a module belongs to: the first name below the package."""
    return module.split(".")[1] if "." in module else ""


def room_graph() -> Graph:
    """Each room of the host with those that it imports; the package itself and the plugins are none."""
    found: dict[str, set[str]] = {}
    for module, others in file_graph().items():
        if room(module) not in ("", "plugins", "__main__"):
            found.setdefault(room(module), set()).update(
                room(other) for other in others if room(other) not in ("", "plugins")
            )
    return {name: frozenset(others - {name}) for name, others in found.items()}


def depths(graph: Graph) -> dict[str, int]:
    """How many rooms, one above the other, stand below each. Raises ValueError for rooms that import in a circle."""

    @cache
    def depth(name: str) -> int:
        if name in path:
            raise ValueError(f"{name} imports itself, by way of others")
        path.append(name)
        below = max((depth(other) + 1 for other in graph[name]), default=0)
        path.pop()
        return below

    path: list[str] = []
    return {name: depth(name) for name in sorted(graph)}


def shortest(graph: Graph) -> list[tuple[str, str]]:
    """The arrows that no way through other rooms makes superfluous."""

    @cache
    def reached(name: str) -> frozenset[str]:
        return graph[name].union(*(reached(other) for other in graph[name]))

    return [
        (name, other)
        for name in sorted(graph)
        for other in sorted(graph[name])
        if not any(other in reached(between) for between in graph[name] - {other})
    ]


def draw(graph: Graph) -> str:
    """The picture: what imports nothing stands at the bottom; an arrow points from a room to one that it imports."""
    levels: dict[int, list[str]] = {}
    for name, depth in depths(graph).items():
        levels.setdefault(depth, []).append(name)
    height = ROW * len(levels) + 2 * MARGIN
    places: dict[str, tuple[float, float, float]] = {}
    for depth, names in levels.items():
        wide = min(150.0, (WIDTH - 2 * MARGIN - GAP * (len(names) - 1)) / len(names))
        left = (WIDTH - wide * len(names) - GAP * (len(names) - 1)) / 2
        for place, name in enumerate(_spread(names, depth)):
            places[name] = left + place * (wide + GAP), height - MARGIN - BOX - depth * ROW, wide
    return "\n".join([_HEAD.format(width=WIDTH, height=height), *_arrows(graph, places), *_boxes(places), "</svg>\n"])


def _spread(names: list[str], depth: int) -> list[str]:
    """Every other row is turned round, so that fewer arrows lie on one another."""
    return names[::-1] if depth % 2 else names


_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"
  font-family="sans-serif" font-size="14">
<title>The rooms of qharness: an arrow points from a room to one that it imports</title>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#888"/></marker></defs>
<rect width="{width}" height="{height}" fill="#fff"/>"""


def _arrows(graph: Graph, places: Mapping[str, tuple[float, float, float]]) -> Iterator[str]:
    for name, other in shortest(graph):
        x, y, wide = places[name]
        to_x, to_y, to_wide = places[other]
        x, to_x, y = x + wide / 2, to_x + to_wide / 2, y + BOX
        bend = (to_y - y) / 2
        yield (
            f'<path d="M{x:.0f} {y:.0f}C{x:.0f} {y + bend:.0f} {to_x:.0f} {to_y - bend:.0f} {to_x:.0f} {to_y:.0f}" '
            'fill="none" stroke="#aaa" marker-end="url(#tip)"/>'
        )


def _boxes(places: Mapping[str, tuple[float, float, float]]) -> Iterator[str]:
    for name, (x, y, wide) in places.items():
        box = f'x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{BOX}" rx="6"'
        yield f'<rect {box} fill="#e8eefc" stroke="#4a6fb5"/>'
        yield f'<text x="{x + wide / 2:.0f}" y="{y + BOX / 2 + 5:.0f}" text-anchor="middle">{escape(name)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(draw(room_graph()), encoding="utf-8")
