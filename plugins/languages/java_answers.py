"""Reads Java in answers: classes of any name, bare methods and bodies become the class that the tests end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from qharness import NameRules, Opening, Piece, Role, names_in, syntax_parser

if TYPE_CHECKING:
    from tree_sitter import Node

_RULES = NameRules(
    binding=frozenset(
        (
            "method_declaration.name",
            "method_declaration.parameters",
            "constructor_declaration.name",
            "constructor_declaration.parameters",
            "class_declaration.name",
            "interface_declaration.name",
            "enum_declaration.name",
            "record_declaration.name",
            "variable_declarator.name",
            "formal_parameter.name",
            "catch_formal_parameter.name",
            "enhanced_for_statement.name",
            "lambda_expression.parameters",
            "resource.name",
        )
    ),
    patterns=frozenset(("inferred_parameters",)),
    scopes=frozenset(
        (
            "method_declaration",
            "constructor_declaration",
            "class_declaration",
            "interface_declaration",
            "enum_declaration",
            "record_declaration",
            "lambda_expression",
            "static_initializer",
            "block",
        )
    ),
    ignored=frozenset(("field_access.field",)),
)
_TYPES = frozenset(("class_declaration", "interface_declaration", "enum_declaration", "record_declaration"))
_METHODS = frozenset(("method_declaration", "constructor_declaration", "compact_constructor_declaration"))
_FIELDS = frozenset(("field_declaration", "local_variable_declaration", "static_initializer", "block"))
_NOT_CODE = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|//[^\n]*|/\*.*?\*/', re.DOTALL)
_MAIN = re.compile(r"\bvoid\s+main\s*\(\s*(?:final\s+)?String\b")
_CALL = re.compile(r"(?<![\w.])(?!(?:assert|if|while|for|switch|main|catch)\b)([a-z]\w*)\s*\(")


@dataclass(frozen=True)
class JavaAnswers:
    """The AnswerSyntax of Java."""

    tags: frozenset[str] = frozenset(("java", "java8", "java11", "java17", "jsp", "jdk"))
    code_line: str = (
        r"^[ \t]*(?:import[ \t]+(?:static[ \t]+)?[\w.]+(?:\.\*)?[ \t]*;|(?:(?:public|private|protected|static|final|"
        r"abstract)[ \t]+)+[\w<>\[\], ]+[ \t]*[({]|(?:class|interface|enum|record)[ \t]+\w+[^\n]*\{)"
    )

    def entry_point(self, prompt: str, tests: str) -> str:
        """Return the last method of the prompt, which may lack its body, else the first that the tests call."""
        root = syntax_parser("java").parse(_encoded(_closed(prompt))).root_node
        methods = [node for node in _nodes(root) if node.type == "method_declaration"]
        if methods:
            return _name(max(methods, key=lambda node: node.start_byte))
        return next((found[1] for found in _CALL.finditer(tests)), "")

    def pieces(self, code: str, entry_point: str) -> list[Piece]:
        """Return what stands in the file, and the members of the class that has the entry point.

        Code that is cut off is closed after its last statement; the piece in which it was cut off is not clean.
        """
        whole = code[: max(map(code.rfind, ";{}")) + 1] if _unclosed(code) else code
        end = len(_encoded(whole))
        closed = whole + "\n" + "}" * _unclosed(whole)
        found: list[Piece] = []
        for node in syntax_parser("java").parse(_encoded(closed)).root_node.children:
            if node.type in _TYPES and any(_name(member) == entry_point for member in _members(node, _METHODS)):
                members = [member for member in _members(node) if "comment" not in member.type]
                found += [_piece(member, code, end, _head(node)) for member in members]
            elif node.start_byte < end and "comment" not in node.type:
                bare = node.type in _METHODS or node.type in _FIELDS
                found.append(_piece(node, code, end, _NO_HEAD if bare else None))
        return found

    def continuations(self, opening: Opening, code: str) -> list[str]:
        """Return prompt and code, with the braces that either may lack."""
        prompt = opening.prompt
        starts = [f"{prompt}{code}"] if prompt.rstrip().endswith("{") else [f"{prompt}{code}", f"{prompt}{{\n{code}"]
        return [f"{start}\n{closing}" for start in starts for closing in ("}", "}}")]

    def program(self, opening: Opening, pieces: Sequence[Piece]) -> str:
        """Return a program that lacks the braces which the tests close.

        It has the prompt's imports, and the members of its class that the pieces do not define. The class is not
        public, and is named as the tests' class. If the tests close the entry point too, that stands last.
        """
        bound = frozenset().union(*(piece.binds for piece in pieces if piece.role is not Role.IMPORT))
        asked = [
            piece
            for piece in self.pieces(_closed(opening.prompt), opening.entry_point)
            if piece.role is Role.IMPORT or not piece.binds & bound
        ]
        whole = [*asked, *pieces]
        imports = dict.fromkeys(piece.text for piece in whole if piece.role is Role.IMPORT)
        others = [p.text for p in whole if p.role is not Role.IMPORT and p.owner is None]
        members = [p for p in whole if p.role is not Role.IMPORT and p.owner is not None]
        heads = [p.owner for p in (*pieces, *asked) if p.owner]
        name = opening.entry_class or "Main"
        head = heads[0] if heads else f"class {name} {{"
        left_open = _left_open(opening.tests)
        last = [p for p in members if opening.entry_point in p.binds and p.role is Role.DEFINITION][-1:]
        if left_open > 1:
            members = [*(p for p in members if p not in last), *last]
        body = [p.text for p in members]
        for _ in range(left_open - 1):
            body[-1:] = [text.rstrip().removesuffix("}") for text in body[-1:]]
        closing = "" if left_open else "}"
        text = "\n".join([*imports, *others, head, *body, closing])
        old = re.search(r"\b(?:class|interface|enum|record)\s+(\w+)", head)
        return _renamed(text, old[1], name) if old and old[1] != name else text


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "surrogatepass")


def _closed(prompt: str) -> str:
    """Return a prompt with an end for the method that it opens, and for its class."""
    return f"{prompt}\n}}}}" if prompt.rstrip().endswith("{") else f"{prompt}\n{{}}}}"


def _nodes(root: Node) -> Iterator[Node]:
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.children)


def _name(node: Node) -> str:
    name = node.child_by_field_name("name")
    return _text(name) if name else ""


def _members(node: Node, kinds: frozenset[str] | None = None) -> list[Node]:
    body = node.child_by_field_name("body")
    return [member for member in (body.named_children if body else []) if kinds is None or member.type in kinds]


class _ClassHead(NamedTuple):
    """A class's declaration up to its opening brace, and the names in it."""

    text: str
    uses: frozenset[str] = frozenset()


_NO_HEAD = _ClassHead("")


def _head(node: Node) -> _ClassHead:
    body = node.child_by_field_name("body")
    parts = [child for child in node.children if child.type in ("superclass", "super_interfaces", "type_parameters")]
    uses = frozenset().union(*(names_in(part, _RULES).uses for part in parts))
    return _ClassHead(_not_public(node, body.start_byte if body else node.end_byte) + "{", uses)


def _not_public(node: Node, end: int) -> str:
    """Return a declaration up to byte `end` without `public`: only the class a file is named after may be public."""
    text = (node.text or b"")[: end - node.start_byte]
    first = node.children[0]
    for modifier in first.children if first.type == "modifiers" else []:
        if modifier.type == "public":
            start, stop = modifier.start_byte - node.start_byte, modifier.end_byte - node.start_byte
            text = text[:start] + text[stop:].lstrip()
    return text.decode("utf-8", "surrogatepass")


def _piece(node: Node, code: str, end: int, head: _ClassHead | None) -> Piece:
    """Return a node as a piece, with all that follows if it goes beyond byte `end` of code that was cut off there.

    `head`: that of the class it is in.
    """
    names, clean = names_in(node, _RULES), not node.has_error and node.end_byte <= end
    rest = slice(node.start_byte, node.end_byte if clean or node.end_byte <= end else None)
    text = _encoded(code)[rest].decode("utf-8", "surrogatepass")
    uses = names.uses | (head.uses if head else frozenset())
    piece = Piece(Role.EXAMPLE, text, node.start_byte, names.binds, uses, clean, False, head.text if head else None)
    if node.type == "import_declaration":
        last = re.search(r"(\w+)\s*;", text)
        return replace(piece, role=Role.IMPORT, binds=frozenset((last[1],) if last else ()), uses=frozenset())
    if node.type in _METHODS and not _MAIN.search(text):
        body = node.child_by_field_name("body")
        inert = (*_TYPES, *_METHODS, "line_comment", "block_comment")
        hollow = body is None or all(child.type in inert for child in body.named_children)
        return replace(piece, role=Role.DEFINITION, hollow=hollow)
    if node.type in _TYPES:
        return replace(piece, role=Role.DEFINITION, text=text if head else _not_public(node, end))
    if node.type in _FIELDS and head is not None:
        return replace(piece, role=Role.VARIABLE if names.binds else Role.STATEMENT)
    return piece


def _unclosed(code: str) -> int:
    """Return how many braces the code opens that it does not close."""
    depth = 0
    for sign in re.findall("[{}]", _NOT_CODE.sub("", code)):
        depth = depth + 1 if sign == "{" else max(depth - 1, 0)
    return depth


def _left_open(tests: str) -> int:
    """Return how many braces the tests close that they have not opened."""
    depth = lowest = 0
    for sign in re.findall("[{}]", _NOT_CODE.sub("", tests)):
        depth += 1 if sign == "{" else -1
        lowest = min(lowest, depth)
    return -lowest


def _renamed(text: str, old: str, new: str) -> str:
    """Return Java with a class renamed, outside strings and comments."""
    pattern = re.compile(rf"(?P<other>{_NOT_CODE.pattern})|\b{re.escape(old)}\b", re.DOTALL)
    return pattern.sub(lambda found: found["other"] or new, text)
