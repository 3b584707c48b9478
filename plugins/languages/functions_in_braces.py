"""Cuts completions of languages in which a function's body stands in braces."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qharness import syntax_parser

if TYPE_CHECKING:
    from tree_sitter import Node

_SCOPE = re.compile(r"\b(class|struct|namespace|interface|module|extern)\b[^;{}()]*$")
"""The beginning, before its brace, of what holds functions and is none."""
_OPENING = ("{", "${")


def cut_after_function(grammar: str, prompt: str, completion: str, *, helpers_follow: bool = False) -> str:
    """Cut `completion` after the brace that closes the outermost function which `prompt` has begun.

    The braces are leaves of the syntax tree, so those in strings and comments do not count. A function that never
    closes is returned whole. With `helpers_follow`, in languages where a function may use a later one, whole functions
    that come next and are used by what is kept are kept too.
    """
    text = (prompt + completion).encode("utf-8", "surrogatepass")
    start = len(prompt.encode("utf-8", "surrogatepass"))
    root = syntax_parser(grammar).parse(text).root_node
    end = _end_of_function(root, text, start)
    if end is None:
        return completion
    if helpers_follow:
        end = _end_of_helpers(root, text, end)
    return text[start:end].decode("utf-8", "surrogatepass")


def _end_of_function(root: Node, text: bytes, start: int) -> int | None:
    """Return where the function that is open at `start` ends; None if it does not."""
    stack: list[bool] = []  # for each open brace, whether a function or a part of one is in it
    outer = None
    for brace in _braces(root):
        if outer is None and brace.end_byte > start:
            outer = stack.index(True) if True in stack else len(stack)
        if brace.type in _OPENING:
            before = text[: brace.start_byte].decode("utf-8", "replace")[-400:]
            stack.append(True in stack or not _SCOPE.search(before))
        elif stack:
            stack.pop()
        if brace.type == "}" and outer is not None and len(stack) <= outer:
            return brace.end_byte
    return None


def _end_of_helpers(root: Node, text: bytes, end: int) -> int:
    """Return where the last of the functions ends that follow each other after `end` and are used before."""
    for node in root.children:
        if node.start_byte < end or node.type in ("comment", ";", "empty_statement", "\n"):
            continue
        name = node.child_by_field_name("name")
        if node.type != "function_declaration" or node.has_error or name is None:
            break
        if not re.search(rb"\b%s\b" % re.escape(text[name.start_byte : name.end_byte]), text[:end]):
            break
        end = node.end_byte
    return end


def _braces(node: Node) -> list[Node]:
    """List the braces of a syntax tree from left to right, without recursion: generated code may nest deeply."""
    found, stack = [], [node]
    while stack:
        current = stack.pop()
        if current.child_count:
            stack.extend(reversed(current.children))
        elif current.type in (*_OPENING, "}") and current.start_byte < current.end_byte:
            found.append(current)
    return found
