"""The tables by which JavaScript and TypeScript are read in answers."""

from __future__ import annotations

import dataclasses

from qharness import NameRules, SyntaxTable

_RULES = NameRules(
    binding=frozenset(
        (
            "variable_declarator.name",
            "function_declaration.name",
            "generator_function_declaration.name",
            "class_declaration.name",
            "function_declaration.parameters",
            "generator_function_declaration.parameters",
            "function_expression.parameters",
            "arrow_function.parameters",
            "arrow_function.parameter",
            "method_definition.parameters",
            "catch_clause.parameter",
            "for_in_statement.left",
            "import_specifier.name",
            "import_clause",
            "interface_declaration.name",
            "type_alias_declaration.name",
            "enum_declaration.name",
        )
    ),
    patterns=frozenset(
        (
            "formal_parameters",
            "array_pattern",
            "object_pattern",
            "rest_pattern",
            "assignment_pattern",
            "required_parameter",
            "optional_parameter",
            "pair_pattern",
        )
    ),
    scopes=frozenset(
        (
            "function_declaration",
            "generator_function_declaration",
            "function_expression",
            "arrow_function",
            "method_definition",
            "class_body",
        )
    ),
    ignored=frozenset(("member_expression.property", "pair.key", "method_definition.name")),
)

JAVASCRIPT = SyntaxTable(
    grammar="javascript",
    tags=frozenset(("javascript", "js", "node", "nodejs", "jsx", "mjs", "ecmascript")),
    code_line=(
        r"^[ \t]*(?:(?:export[ \t]+)?(?:async[ \t]+)?function\b[ \t]*\*?[ \t]*\w*[ \t]*\("
        r"|(?:const|let|var)[ \t]+[\w{\[$][^\n]*=|class[ \t]+\w+[^\n]*\{)"
    ),
    signature=(
        r"^[ \t]*(?:async[ \t]+)?(?:function[ \t]*\*?|const|let|var)[ \t]+(?P<name>[\w$]+)"
        r"(?=[ \t]*[(<]|[^\n=]*=[ \t]*(?:async[ \t]*)?(?:\(|function|\w+[ \t]*=>))"
    ),
    rules=_RULES,
    imports=frozenset(("import_statement",)),
    definitions=frozenset(
        (
            "function_declaration",
            "generator_function_declaration",
            "class_declaration",
            "interface_declaration",
            "type_alias_declaration",
            "enum_declaration",
        )
    ),
    wrappers=frozenset(("export_statement",)),
    variables=frozenset(("lexical_declaration", "variable_declaration")),
    examples=frozenset(),
    example=r"(?:console\b|module\.exports\b|exports\.|if[ \t]*\([ \t]*require\.main)",
    fillers=frozenset(("comment", "{", "}", ";")),
    own_names=frozenset(("assert", "log", "function", "if", "for", "while", "switch", "catch", "abs", "require")),
)
TYPESCRIPT = dataclasses.replace(
    JAVASCRIPT,
    grammar="typescript",
    tags=frozenset(("typescript", "ts", "tsx", "javascript", "js", "deno")),
)
