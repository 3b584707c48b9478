"""The table by which Go is read in answers; a program's imports are made from those of prompt and answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from qharness import NameRules, Opening, Piece, SyntaxTable

_IMPORTS = re.compile(r"^import[ \t]*(?:\((?P<many>.*?)\)|(?P<one>[^\n(]*))[ \t]*\n?", re.DOTALL | re.MULTILINE)
_SPEC = re.compile(r'(?:(?P<name>[\w.]+)[ \t]+)?"(?P<path>[^"\n]+)"')
_RULES = NameRules(
    binding=frozenset(
        (
            "function_declaration.name",
            "function_declaration.parameters",
            "method_declaration.name",
            "method_declaration.parameters",
            "func_literal.parameters",
            "parameter_declaration.name",
            "var_spec.name",
            "const_spec.name",
            "type_spec.name",
            "short_var_declaration.left",
            "range_clause.left",
        )
    ),
    patterns=frozenset(("parameter_list", "expression_list")),
    scopes=frozenset(("function_declaration", "method_declaration", "func_literal", "block")),
    ignored=frozenset(("selector_expression.field", "field_declaration.name", "keyed_element.key")),
)


@dataclass(frozen=True)
class GoAnswers(SyntaxTable):
    """The AnswerSyntax of Go."""

    def program(self, opening: Opening, pieces: Sequence[Piece]) -> str:
        """Return the program, with one package clause and with those imports of prompt and answer that it uses."""
        kept = [piece for piece in pieces if not piece.text.startswith("package ")]
        text = super().program(opening, kept)
        specs: dict[str, str] = {}
        for found in _IMPORTS.finditer(text):
            for spec in _SPEC.finditer(found["many"] or found["one"] or ""):
                specs[spec["name"] or spec["path"].rpartition("/")[2]] = spec[0]
        rest = _IMPORTS.sub("", text)
        used = [spec for name, spec in specs.items() if re.search(rf"\b{re.escape(name)}\.", rest + opening.tests)]
        listed = "".join(f"\t{spec}\n" for spec in used)
        rest = re.sub(r"^package[ \t]+\w+[ \t]*$", "", rest, count=1, flags=re.MULTILINE)
        return f"package main\n\nimport (\n{listed})\n{rest}" if used else f"package main\n{rest}"


GO_ANSWERS = GoAnswers(
    grammar="go",
    tags=frozenset(("go", "golang")),
    code_line=r"^(?:package[ \t]+\w+|import[ \t]*[(\"]|func[ \t]+[\w(]|type[ \t]+\w+[ \t]+(?:struct|interface)\b)",
    signature=r"^func[ \t]+(?:\([^)]*\)[ \t]*)?(?P<name>\w+)",
    rules=_RULES,
    imports=frozenset(("package_clause", "import_declaration")),
    definitions=frozenset(("function_declaration", "method_declaration", "type_declaration")),
    wrappers=frozenset(),
    variables=frozenset(("var_declaration", "const_declaration")),
    examples=frozenset(),
    example=r"func[ \t]+(?:main|Test\w*)[ \t]*\(",
    fillers=frozenset(("comment", "{", "}", ";", "\n")),
    own_names=frozenset(("New", "func", "if", "for", "switch", "len", "make", "append", "Equal")),
)
