"""Reads code in answers by a table, for languages whose programs are a row of definitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qharness.answers.names import NameRules, Names, leaf_types, names_in, text_of
from qharness.api.answers import Opening, Piece, Role
from qharness.syntax_trees import syntax_parser

if TYPE_CHECKING:
    from tree_sitter import Node

_CALL = re.compile(r"(?<![\w.])([A-Za-z_$][\w$]*)\s*\(")


@dataclass(frozen=True)
class SyntaxTable:
    """The AnswerSyntax of a language whose programs are a row of imports, definitions and statements.

    `grammar`: the tree-sitter grammar. `signature`: a regular expression of the beginning of a function's head, whose
    group `name` is the function's. `rules`: where names stand. `imports`, `definitions`: types of nodes at the top; a
    definition may be in a wrapper. `variables`: types of nodes that are variables if they define a name. `examples`:
    types of nodes that only test; `example`: a regular expression of the beginning of others that do. `fillers`: leaves
    that do nothing. `first`: a regular expression of what must open a program. `own_names`: functions and words of the
    language. `indent`: a function's body is marked by its indentation; otherwise by braces. `session`: a regular
    expression of what an interactive session writes before code. `parses`: a stricter parser, if there is one.
    """

    grammar: str
    tags: frozenset[str]
    code_line: str
    signature: str
    rules: NameRules
    imports: frozenset[str]
    definitions: frozenset[str]
    wrappers: frozenset[str]
    variables: frozenset[str]
    examples: frozenset[str]
    example: str
    fillers: frozenset[str]
    first: str = r"(?!)"
    own_names: frozenset[str] = frozenset()
    indent: bool = False
    session: str = ""
    parses: Callable[[str], bool] | None = None

    def entry_point(self, prompt: str, tests: str) -> str:
        """Return the name in the prompt's last function head, else the first function that the tests call."""
        heads = list(re.finditer(self.signature, prompt, re.MULTILINE))
        if heads:
            return str(heads[-1]["name"])
        called = (found[1] for found in _CALL.finditer(tests))
        return next((name for name in called if name not in self.own_names), "")

    def pieces(self, code: str, entry_point: str) -> list[Piece]:
        """Return what stands at the top of a file, but for its comments."""
        encoded = self._without_session(code).encode("utf-8", "surrogatepass")
        root = syntax_parser(self.grammar).parse(encoded).root_node
        return [self._piece(node) for node in root.children if "comment" not in node.type]

    def _without_session(self, code: str) -> str:
        """Return the input of an interactive session, if code begins as one."""
        if not self.session or not re.match(rf"\s*{self.session}", code):
            return code
        lines = code.split("\n")
        return "\n".join(re.sub(f"^{self.session}", "", line) for line in lines if re.match(self.session, line))

    def _piece(self, node: Node) -> Piece:
        text, names = text_of(node), names_in(node, self.rules)
        clean = not node.has_error and (self.parses is None or self.parses(text))
        inner = self._unwrapped(node)
        hollow = inner.type in self.definitions and self._is_hollow(inner)
        return Piece(self._role(node, inner, text, names), text, node.start_byte, *names, clean, hollow)

    def _role(self, node: Node, inner: Node, text: str, names: Names) -> Role:
        if node.type in self.imports:
            return Role.IMPORT
        if node.type in self.examples or re.match(self.example, text):
            return Role.EXAMPLE
        if inner.type in self.definitions:
            return Role.DEFINITION
        return Role.VARIABLE if names.binds and inner.type in self.variables else Role.STATEMENT

    def _unwrapped(self, node: Node) -> Node:
        while node.type in self.wrappers:
            inner = node.child_by_field_name("definition") or node.child_by_field_name("declaration")
            if inner is None:
                break
            node = inner
        return node

    def _is_hollow(self, definition: Node) -> bool:
        """Whether a definition's body has nothing to run: fillers, and definitions and imports of its own."""
        body = definition.child_by_field_name("body")
        inert = self.definitions | self.wrappers | self.imports
        return body is None or all(
            child.type in inert or all(leaf in self.fillers for leaf in leaf_types(child)) for child in body.children
        )

    def continuations(self, opening: Opening, code: str) -> list[str]:
        """Return what follows the prompt's head: as it is, indented as the prompt's function, or with a last brace."""
        prompt = opening.prompt[len(self._head(opening)) :]
        if not self.indent:
            return [f"{prompt}{code}", f"{prompt}{code}\n}}"]
        lines = [line for line in prompt.split("\n")[1:] if line.strip()]
        margin = lines[0][: len(lines[0]) - len(lines[0].lstrip())] if lines else "    "
        start = prompt if prompt.endswith("\n") else f"{prompt}\n"
        body = code.lstrip("\n")
        if body[:1].isspace():
            return [start + body]
        shifted = "\n".join(margin + line if line.strip() else line for line in body.split("\n"))
        texts = [start + margin + body, start + shifted]
        return texts if _lost_first_margin(body, margin) else texts[::-1]

    def _head(self, opening: Opening) -> str:
        """Return what a prompt has before the head of its entry point."""
        heads = [
            found.start()
            for found in re.finditer(self.signature, opening.prompt, re.MULTILINE)
            if found["name"] == opening.entry_point
        ]
        return opening.prompt[: heads[-1]] if heads else ""

    def program(self, opening: Opening, pieces: Sequence[Piece]) -> str:
        """Return the prompt's head and the pieces, in their order."""
        head = self._head(opening)
        texts = [piece.text for piece in pieces]
        first = [text for text in texts if re.match(self.first, text)]
        rest = [text for text in texts if not re.match(self.first, text)]
        return "\n\n".join([*first, *([head.strip("\n")] if head.strip() else []), *rest, ""])


def _lost_first_margin(body: str, margin: str) -> bool:
    """Whether the first line of a function's body alone lacks the margin, by the second line's indentation."""
    lines = [line for line in body.split("\n") if line.strip()][:2]
    deeper = len(margin) if lines and lines[0].rstrip().endswith(":") else 0
    return len(lines) == 2 and len(lines[1]) - len(lines[1].lstrip()) >= len(margin) + deeper
