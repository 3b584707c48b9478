"""Which of McEval's problems a body passes that returns a constant, whatever its arguments are.

    python benchmarks/constant_bodies.py [--language c cpp go javascript typescript]

The constants are common ones of the language, and every literal in the problem's own tests: a problem that one of these
passes has tests which expect one value alone. Prints a line for each such problem, and how many bodies were tried.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass

from qharness import syntax_parser
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.filters import run_programs
from qharness.storage.benchmark_files import mirror_dir

LONGEST = 300
"""Characters of a literal; longer ones are what a program is given."""
_DECLARATION = re.compile(r"^(.*\)); *(?://.*)?\s*\Z", re.MULTILINE)
"""The end of a prompt that declares the function, as some in C do; the completion defines it."""


@dataclass(frozen=True)
class Constants:
    """A language's common constants, the node types of its literals in tree-sitter's grammar, and a return of one."""

    common: tuple[str, ...]
    literals: frozenset[str]
    statement: str = "return {};"


_C = frozenset(("number_literal", "string_literal", "char_literal", "true", "false"))
_SCRIPT = frozenset(("number", "string", "template_string", "true", "false", "null", "array", "object"))
_GO = frozenset(("int_literal", "float_literal", "interpreted_string_literal", "rune_literal", "composite_literal"))
_SCRIPTED = ("0", "1", "-1", "true", "false", "''", "[]", "{}", "null", "undefined", "NaN", "[[]]", "new Map()")
LANGUAGES = {
    "c": Constants(("0", "1", "-1", '""'), _C),
    "cpp": Constants(("0", "1", "-1", "{}", '""', "{{}}"), _C | {"initializer_list"}),
    "go": Constants(("0", "1", "-1", '""', "true", "false", "nil", "0, 0", "1, 1"), _GO, "return {}"),
    "javascript": Constants(_SCRIPTED, _SCRIPT),
    "typescript": Constants(_SCRIPTED, _SCRIPT, "return {} as any;"),
}


def constants(language: str, tests: str) -> list[str]:
    """Return the expressions that a body may return: common ones, and the literals of the tests with their signs."""
    table = LANGUAGES[language]
    return list(dict.fromkeys([*table.common, *_literals(language, tests.encode())]))


def _literals(language: str, tests: bytes) -> Iterator[str]:
    stack = [syntax_parser(language).parse(tests).root_node]
    while stack:
        node = stack.pop()
        stack.extend(reversed(node.children))
        if node.type not in LANGUAGES[language].literals:
            continue
        signed = node.parent is not None and node.parent.type == "unary_expression"
        found = node.parent if signed and node.parent else node
        text = tests[found.start_byte : found.end_byte].decode()
        if len(text) <= LONGEST:
            yield text


def completion(language: str, prompt: str, constant: str) -> str:
    """Return the completion of a prompt, which is a signature with its brace or without, that returns a constant."""
    body = LANGUAGES[language].statement.format(constant)
    if declared := _DECLARATION.search(prompt):
        return f"{declared[1]} {{ {body}\n}}"
    return f"{body}\n}}" if prompt.rstrip().endswith("{") else f"{{ {body}\n}}"


def passing(language: str) -> tuple[dict[str, list[str]], int]:
    """Return the constants that pass, by the problem's id, and how many programs were run."""
    (task,) = load_task(f"mceval-{language}", mirror_dir()).tasks.values()
    docs = list(task.eval_docs)
    tried = [constants(language, doc["tests"]) for doc in docs]
    texts = [
        [completion(language, doc["prompt"], each) for each in some] for doc, some in zip(docs, tried, strict=True)
    ]
    verdicts = run_programs(texts, docs)
    found = {
        doc["task_id"]: [each for each, verdict in zip(some, row, strict=True) if verdict["passed"]]
        for doc, some, row in zip(docs, tried, verdicts, strict=True)
    }
    return {name: some for name, some in found.items() if some}, sum(map(len, tried))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", nargs="+", choices=LANGUAGES, default=list(LANGUAGES))
    for language in parser.parse_args().language:
        found, count = passing(language)
        print(f"{language}: {count} bodies")
        for name, some in found.items():
            print(f"  {name}: {', '.join(some)}")


if __name__ == "__main__":
    main()
