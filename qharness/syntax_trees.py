"""Parsers of program text, by tree-sitter's grammars."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Parser


@cache
def syntax_parser(language: str) -> Parser:
    """Return the parser of a language, by the grammar of the installed package `tree_sitter_LANGUAGE`."""
    import tree_sitter

    package = importlib.import_module(f"tree_sitter_{language}")
    grammar = getattr(package, f"language_{language}", None) or package.language  # one package may have several
    return tree_sitter.Parser(tree_sitter.Language(grammar()))
