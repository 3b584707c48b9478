"""Decides from the text of a benchmark's tests whether they need the program's process, a fork, or neither."""

from __future__ import annotations

import ast
import builtins
import sys
from functools import lru_cache

from qharness import TestsNeed

_REACH_IN = frozenset(
    """
    __class__ __code__ __dict__ __globals__ __main__ assertWarns capsys concurrent ctypes doctest gc
    getsource globals importlib inspect locals mock modules monkeypatch multiprocessing os patch pickle redirect_stdout
    setattr settrace signal stderr stdin stdout subprocess threading vars warnings weakref
    """.split()  # noqa: SIM905
)
"""Words of tests that look into the program, replace parts of it, or read its output."""
_STRAIGHT = (
    *(ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Assert, ast.Assign, ast.Expr, ast.Pass, ast.Import),
    *(ast.ImportFrom, ast.alias, ast.If, ast.Name, ast.Load, ast.Store, ast.Constant, ast.Call, ast.keyword),
    *(ast.Attribute, ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop, ast.UnaryOp, ast.unaryop, ast.BinOp, ast.operator),
    *(ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Subscript, ast.Slice, ast.JoinedStr, ast.FormattedValue),
)
"""The nodes of tests without a loop, a handler, a class or a lambda: such tests end when the program's answers do."""
_PURE_MODULES = frozenset(("math", "typing", "collections", "copy"))
_IMPURE = frozenset(("exec", "eval", "compile", "open", "input", "delattr", "exit", "quit", "breakpoint", "__import__"))


@lru_cache(maxsize=4096)
def what_tests_need(tests: str) -> TestsNeed:
    """Return the needs of these tests. Empty tests run in the program's process; those that do not parse, in a fork."""
    try:
        tree = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return TestsNeed(in_process=False, straight=False)
    nodes = list(ast.walk(tree))
    cases = all("TestCase" in "".join(map(ast.dump, node.bases)) for node in nodes if isinstance(node, ast.ClassDef))
    words = {word for node in nodes for word in _words(node)}
    own = {node.arg for node in nodes if isinstance(node, ast.arg)} | vars(builtins).keys()
    own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {(node.asname or node.name).partition(".")[0] for node in nodes if isinstance(node, ast.alias)}
    modules = _modules(nodes) - own
    return TestsNeed(
        in_process=not tree.body or not cases or not _REACH_IN.isdisjoint(words),
        straight=all(_is_straight(node, own | (modules & _PURE_MODULES)) for node in nodes),
        modules=tuple(sorted(modules)),
    )


def _words(node: ast.AST) -> list[str]:
    """Return the names in a node."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
            return [name]
        case ast.alias(name=name):
            return name.split(".")
        case ast.ImportFrom(module=str(name)):
            return name.split(".")
    return []


def _modules(nodes: list[ast.AST]) -> set[str]:
    """Return the names of standard modules whose every use is an attribute of theirs."""
    used = [node.id for node in nodes if isinstance(node, ast.Name) and node.id in sys.stdlib_module_names]
    bases = [node.value.id for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    return {name for name in used if used.count(name) == bases.count(name)}


def _is_straight(node: ast.AST, own: set[str]) -> bool:
    """Whether a node ends by itself. `own`: names that stand for no module with arbitrary functions."""
    match node:
        case ast.Attribute(value=ast.Name(id=name)) if name not in own:
            return False
        case ast.Import(names=names):
            return all(alias.name in _PURE_MODULES for alias in names)
        case ast.ImportFrom(module=module):
            return module in _PURE_MODULES
        case ast.Name(id=name):
            return name not in _IMPURE
        case ast.Attribute(ctx=ast.Load(), attr=name):
            return not name.startswith("_")
        case ast.Attribute() | ast.Subscript(ctx=ast.Store()):
            return False
    return isinstance(node, _STRAIGHT)
