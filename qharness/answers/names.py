"""Finds the names that a piece of code defines for the program around it, and those that it takes from there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tree_sitter import Node, TreeCursor


@dataclass(frozen=True)
class NameRules:
    """Where names stand in a tree-sitter grammar. A place is `NODE.FIELD`.

    `binding`: places of the names that a node defines. `patterns`: nodes in such a place that hold several names.
    `scopes`: nodes that keep the names defined in them to themselves, but not the one in their own field `name`.
    `outward`: nodes that list names of the program (Python's `global`). `ignored`: places of names that are looked up
    in an object and not in the program.
    """

    binding: frozenset[str]
    patterns: frozenset[str]
    scopes: frozenset[str]
    outward: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()


class Names(NamedTuple):
    """The names that code defines for the program around it, and those that it takes from there."""

    binds: frozenset[str]
    uses: frozenset[str]


class _Place(NamedTuple):
    node: str
    binding: bool = False
    inside: bool = False
    listed: bool = False
    ignored: bool = False


def text_of(node: Node) -> str:
    """Return a node's text."""
    return (node.text or b"").decode("utf-8", "surrogatepass")


def names_in(node: Node, rules: NameRules) -> Names:
    """Return the names of a syntax tree, in one walk."""
    binds: set[str] = set()
    local: set[str] = set()
    outward: set[str] = set()
    uses: set[str] = set()
    for leaf, place in _leaves(node, rules):
        if not place.ignored and leaf.type.endswith("identifier"):
            found = outward if place.listed else uses if not place.binding else local if place.inside else binds
            found.add(text_of(leaf))
    return Names(frozenset(binds), frozenset((uses - (local - outward)) | outward))


def leaf_types(node: Node) -> Iterator[str]:
    """Yield the types of a syntax tree's leaves."""
    stack = [node]
    while stack:
        current = stack.pop()
        if current.child_count:
            stack.extend(current.children)
        else:
            yield current.type


def _leaves(node: Node, rules: NameRules) -> Iterator[tuple[Node, _Place]]:
    """Yield the leaves of a syntax tree with their places, without recursion: generated code may nest deeply."""
    cursor = node.walk()
    path = [_Place(node.type)]
    while True:
        if cursor.goto_first_child():
            path.append(_place(cursor, path[-1], rules))
            continue
        if cursor.node is not None:
            yield cursor.node, path[-1]
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return
            path.pop()
        path[-1] = _place(cursor, path[-2], rules)


def _place(cursor: TreeCursor, above: _Place, rules: NameRules) -> _Place:
    place = f"{above.node}.{cursor.field_name or ''}"
    return _Place(
        cursor.node.type if cursor.node else "",
        binding=place in rules.binding or (above.binding and not cursor.field_name and above.node in rules.patterns),
        inside=above.inside or (above.node in rules.scopes and cursor.field_name != "name"),
        listed=above.listed or above.node in rules.outward,
        ignored=above.ignored or place in rules.ignored,
    )
