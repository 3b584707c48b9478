"""The table by which Python is read in answers."""

from __future__ import annotations

import ast
import builtins
import keyword
import warnings

from qharness import NameRules, SyntaxTable

_LONGEST = 200_000


def _parses(text: str) -> bool:
    """Whether Python itself can parse a text, in characters up to _LONGEST; tree-sitter forgives wrong indentation."""
    if len(text) > _LONGEST:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in strings
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return False
    return True


_RULES = NameRules(
    binding=frozenset(
        (
            "assignment.left",
            "for_statement.left",
            "for_in_clause.left",
            "function_definition.name",
            "function_definition.parameters",
            "lambda.parameters",
            "class_definition.name",
            "default_parameter.name",
            "typed_default_parameter.name",
            "as_pattern.alias",
            "named_expression.name",
            "type_alias_statement.left",
            "import_statement.name",
            "import_from_statement.name",
            "aliased_import.alias",
        )
    ),
    patterns=frozenset(
        (
            "parameters",
            "lambda_parameters",
            "typed_parameter",
            "list_splat_pattern",
            "dictionary_splat_pattern",
            "pattern_list",
            "tuple_pattern",
            "list_pattern",
            "as_pattern_target",
            "dotted_name",
        )
    ),
    scopes=frozenset(
        (
            "function_definition",
            "class_definition",
            "lambda",
            "list_comprehension",
            "set_comprehension",
            "dictionary_comprehension",
            "generator_expression",
        )
    ),
    outward=frozenset(("global_statement",)),
    ignored=frozenset(
        ("attribute.attribute", "keyword_argument.name", "aliased_import.name", "import_from_statement.module_name")
    ),
)

ANSWERS = SyntaxTable(
    grammar="python",
    tags=frozenset(("python", "python3", "py", "py3", "python2", "ipython", "pycon", "sage")),
    code_line=(
        r"^[ \t]*(?:from[ \t]+[\w.]+[ \t]+import\b|import[ \t]+\w|(?:async[ \t]+)?def[ \t]+\w+[ \t]*\("
        r"|class[ \t]+\w+[ \t]*[:(]|@\w)"
    ),
    signature=r"^[ \t]*(?:async[ \t]+)?def[ \t]+(?P<name>\w+)",
    rules=_RULES,
    imports=frozenset(("import_statement", "import_from_statement", "future_import_statement")),
    definitions=frozenset(("function_definition", "class_definition")),
    wrappers=frozenset(("decorated_definition",)),
    variables=frozenset(("expression_statement", "type_alias_statement")),
    examples=frozenset(("assert_statement",)),
    example=r"(?:if[ \t]+\(?[ \t]*__name__|print\b|input[ \t]*\()",
    fillers=frozenset(
        ("comment", "string_start", "string_content", "string_end", "escape_sequence", "ellipsis", "pass", ";")
    ),
    first=r"from[ \t]+__future__\b",
    own_names=frozenset((*dir(builtins), *keyword.kwlist)),
    indent=True,
    session=r"(?:>>>|\.\.\.)(?: |$)",
    parses=_parses,
)
