"""The tables by which C and C++ are read in answers."""

from __future__ import annotations

import dataclasses

from qharness import NameRules, SyntaxTable

_RULES = NameRules(
    binding=frozenset(
        (
            "function_declarator.declarator",
            "init_declarator.declarator",
            "declaration.declarator",
            "parameter_declaration.declarator",
            "type_definition.declarator",
            "struct_specifier.name",
            "union_specifier.name",
            "enum_specifier.name",
            "class_specifier.name",
            "enumerator.name",
            "preproc_def.name",
            "preproc_function_def.name",
            "alias_declaration.name",
            "namespace_definition.name",
            "for_range_loop.declarator",
        )
    ),
    patterns=frozenset(("pointer_declarator", "array_declarator", "reference_declarator", "parenthesized_declarator")),
    scopes=frozenset(("compound_statement", "parameter_list", "field_declaration_list", "lambda_expression")),
    ignored=frozenset(("field_expression.field", "field_declaration.declarator")),
)

C_ANSWERS = SyntaxTable(
    grammar="c",
    tags=frozenset(("c", "h", "c99", "c11", "gcc")),
    code_line=r"^[ \t]*#[ \t]*(?:include|define)\b|^[A-Za-z_][\w:<>,*& \t]*[ \t*&>][A-Za-z_]\w*[ \t]*\([^;]*\{?[ \t]*$",
    signature=r"^[A-Za-z_][\w:<>,*& \t\[\]]*?[ \t*&>]+(?P<name>[A-Za-z_]\w*)[ \t]*\(",
    rules=_RULES,
    imports=frozenset(("preproc_include", "using_declaration")),
    definitions=frozenset(("function_definition", "type_definition", "preproc_def", "preproc_function_def")),
    wrappers=frozenset(("template_declaration",)),
    variables=frozenset(("declaration",)),
    examples=frozenset(),
    example=r"(?:int|void)[ \t]+main\b",
    fillers=frozenset(("comment", "{", "}", ";")),
    own_names=frozenset(
        ("assert", "main", "if", "for", "while", "switch", "sizeof", "strcmp", "fabs", "abs", "printf")
    ),
    first=r"#",
)
CPP_ANSWERS = dataclasses.replace(
    C_ANSWERS,
    grammar="cpp",
    tags=frozenset(("cpp", "c++", "cxx", "cc", "hpp", "c")),
    definitions=C_ANSWERS.definitions | {"alias_declaration", "namespace_definition", "template_declaration"},
)
