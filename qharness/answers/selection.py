"""Chooses the pieces of code that a solution needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qharness.api.answers import Piece, Role


def needed(pieces: Sequence[Piece], roots: frozenset[str], entry_point: str) -> list[Piece]:
    """Return the pieces that the entry point needs, and those that define the names in `roots`, in their order.

    A definition is needed if a needed piece uses its name. A statement is needed if it defines such a name, or changes
    a variable that is needed, or, before the entry point, sets something up in an import; but not if it calls the entry
    point. An import is left out only if nothing but left out pieces use it.
    """
    last = max((piece.start for piece in pieces if entry_point in piece.binds), default=-1)
    parts = [piece for piece in pieces if piece.role not in (Role.IMPORT, Role.EXAMPLE) and _may_be(piece, entry_point)]
    imported = frozenset(name for piece in pieces if piece.role is Role.IMPORT for name in piece.binds)
    chosen: list[Piece] = [p for p in parts if not p.binds and p.start < last and p.uses and p.uses <= imported]
    names = set(roots | {entry_point})
    names.update(*(piece.uses for piece in chosen))
    left = [piece for piece in parts if piece not in chosen]
    while True:
        variables = {name for piece in chosen if piece.role is Role.STATEMENT for name in piece.binds}
        more = [p for p in left if p.binds & names or (not p.binds and p.uses & variables)]
        if not more:
            break
        chosen += more
        left = [piece for piece in left if piece not in more]
        names.update(*(piece.uses for piece in more))
    used = frozenset().union(*(piece.uses for piece in chosen))
    others = frozenset().union(*(piece.uses for piece in pieces if piece not in chosen))
    imports = [p for p in pieces if p.role is Role.IMPORT and p.clean and (p.binds & used or not p.binds & others)]
    return sorted([*chosen, *imports], key=lambda piece: piece.start)


def _may_be(piece: Piece, entry_point: str) -> bool:
    """Whether a piece may be part of a solution: a statement that uses the entry point is an example of its use."""
    return piece.role is Role.DEFINITION or entry_point in piece.binds or entry_point not in piece.uses


def definition(pieces: Iterable[Piece], entry_point: str) -> Piece | None:
    """Return the last piece that defines the entry point and is no mere signature."""
    found = [p for p in pieces if entry_point in p.binds and p.role in (Role.DEFINITION, Role.STATEMENT)]
    return found[-1] if found else None
