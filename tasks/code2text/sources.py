"""CodeXGLUE's functions in the form that each kind of model reads, without their docstrings."""

from __future__ import annotations

import io
import tokenize
from typing import TYPE_CHECKING

from qharness import Document, syntax_parser

if TYPE_CHECKING:
    from tree_sitter import Node

_LAYOUT = {tokenize.NEWLINE: "NEW_LINE", tokenize.INDENT: "INDENT", tokenize.DEDENT: "DEDENT"}
_UNSEEN = {tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER, tokenize.ENCODING}
_BEFORE_A_VALUE = {"=", "(", ","}


def spaced_tokens(row: Document) -> str:
    """Return CodeT5's input: `code_tokens`, which hold no docstring and no comments, with one space between them."""
    return " ".join(" ".join(row["code_tokens"]).split()).replace("</s>", "<unk>")


def with_layout_marks(row: Document) -> str:
    """Return PLBART's input: the tokens of `code`, with NEW_LINE, INDENT and DEDENT for its layout.

    Strings in triple quotes are left out unless they are the value of an argument or a variable. For code that Python's
    own tokenizer refuses, the result is `code_tokens`, as in PLBART's scripts; Python's versions differ in which.
    """
    tokens: list[str] = []
    before = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(row["code"]).readline):
            if token.type == tokenize.STRING and token.string.startswith(('"""', "'''")):
                if before in _BEFORE_A_VALUE:
                    tokens.append(token.string)
                continue
            if token.type == tokenize.NL:
                continue
            if token.type not in _UNSEEN:
                tokens.append(_LAYOUT.get(token.type, token.string))
            before = token.string.strip()
    except (tokenize.TokenError, SyntaxError):
        tokens = []
    return " ".join(tokens or row["code_tokens"]).replace("\n", " ").strip()


def without_docstring(row: Document) -> str:
    """Return `code` without its docstring, with its layout and comments; `code_tokens` if it has no docstring."""
    source: bytes = row["code"].encode()
    found = _docstring(syntax_parser("python").parse(source).root_node)
    if found is None:
        return " ".join(row["code_tokens"])
    following = found.next_named_sibling
    rest = source[following.start_byte :] if following else b""
    return (source[: found.start_byte] + rest).decode().rstrip()


def _docstring(node: Node) -> Node | None:
    """Find the statement that is the docstring of the first function."""
    if node.type != "function_definition":
        return next((found for child in node.named_children if (found := _docstring(child))), None)
    body = node.child_by_field_name("body")
    statements = [child for child in body.named_children if child.type != "comment"] if body else []
    if not statements or statements[0].type != "expression_statement" or not statements[0].named_children:
        return None
    return statements[0] if statements[0].named_children[0].type in ("string", "concatenated_string") else None
