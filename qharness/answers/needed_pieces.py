"""Chooses the pieces of code that a solution needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qharness.api.answers import Piece, Role


def needed(pieces: Sequence[Piece], roots: frozenset[str], entry_point: str) -> list[Piece]:
    """Return the pieces that the entry point needs, and those that define the names in `roots`, in their order.

    A definition or a variable is needed if a needed piece uses its name. A statement is needed, too, if it uses a
    variable that is needed, which it may change, or if it sets up an import before the entry point. Nothing that runs
    is needed if it uses the entry point: it shows how. An import is left out if only pieces use it that are left out.
    """
    last = max((piece.start for piece in pieces if entry_point in piece.binds), default=-1)
    imported = frozenset(name for piece in pieces if piece.role is Role.IMPORT for name in piece.binds)
    chosen = [p for p in pieces if p.role is Role.STATEMENT and p.start < last and p.uses and p.uses <= imported]
    left = [p for p in pieces if _may_be(p, entry_point) and p not in chosen]
    names = _names({entry_point, *roots}, chosen)
    more = chosen
    while more or not chosen:
        variables = {name for p in chosen if p.role in (Role.VARIABLE, Role.STATEMENT) for name in p.binds}
        more = [p for p in left if p.binds & names or (p.role is Role.STATEMENT and p.uses & variables)]
        if not more:
            break
        chosen = [*chosen, *more]
        left = [p for p in left if p not in more]
        names = _names(names, more)
    dropped = _names(set(), left)
    dropped.update(*(p.uses for p in pieces if p.role is Role.EXAMPLE or not _may_be(p, entry_point)))
    imports = [p for p in pieces if p.role is Role.IMPORT and p.clean and (p.binds & names or not p.binds & dropped)]
    return sorted([*chosen, *imports], key=lambda piece: piece.start)


def _names(names: Iterable[str], pieces: Iterable[Piece]) -> set[str]:
    return set(names).union(*(piece.uses for piece in pieces))


def _may_be(piece: Piece, entry_point: str) -> bool:
    if piece.role in (Role.IMPORT, Role.EXAMPLE):
        return False
    return piece.role is Role.DEFINITION or entry_point in piece.binds or entry_point not in piece.uses


def definition(pieces: Iterable[Piece], entry_point: str) -> Piece | None:
    """Return the last piece that defines the entry point."""
    found = [p for p in pieces if entry_point in p.binds and p.role is not Role.EXAMPLE]
    return found[-1] if found else None


def missing(pieces: Sequence[Piece], known: frozenset[str], others: Iterable[Sequence[Piece]]) -> list[Piece]:
    """Return the pieces of other code that define what these use, without a definition among them or in `known`.

    `others` are searched one after another, the nearest first.
    """
    found: list[Piece] = []
    bound = set(known).union(*(piece.binds for piece in pieces))
    names = _names((), pieces) - bound
    for other in others:
        while more := [p for p in other if p.clean and p.role is not Role.EXAMPLE and p.binds & names]:
            found += more
            bound.update(*(p.binds for p in more))
            names = _names(names, more) - bound
    return found
