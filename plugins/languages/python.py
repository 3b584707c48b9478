"""Python programs, run by the interpreter that runs qharness, with only the installed packages that they ask for."""

from __future__ import annotations

import dataclasses
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from qharness import AnswerSyntax, Limits, TestsNeed, Toolchain, syntax_parser
from qharness.plugins.languages.python_answers import ANSWERS
from qharness.plugins.languages.python_packages import find_packages
from qharness.plugins.languages.python_tests import what_tests_need

_HARNESS = tuple(
    Path(__file__).with_name(f"python_{name}.py")
    for name in ("values", "calls", "stand_ins", "unittest", "harness", "case_calls", "cases", "checker", "program")
)
"""The modules that run in the sandbox, each after those that it imports; the last two have `check` and `serve`."""
_DEF = re.compile(r"^([ \t]*)(?:async[ \t]+)?def\b", re.MULTILINE)


@dataclass(frozen=True)
class Python:
    """Python, run by the interpreter that runs qharness."""

    name: ClassVar[str] = "python"
    suffixes: ClassVar[tuple[str, ...]] = (".py",)
    answers: ClassVar[AnswerSyntax] = ANSWERS
    limits: ClassVar[Limits] = Limits()
    reads_cases: ClassVar[bool] = True
    missing_names: ClassVar[str] = (
        r"(NameError|AttributeError|ImportError|ModuleNotFoundError):(?!.* is not to be had in here)"
    )

    def toolchain(self, limits: Limits) -> Toolchain:
        """Return the harness for the base interpreter, which imports no installed package."""
        return Toolchain(
            command=(),
            readable=(),
            version=platform.python_version(),
            checked_harness=tuple(
                (f"{__package__}.{path.stem}", path.read_text(encoding="utf-8")) for path in _HARNESS
            ),
        )

    def with_packages(self, toolchain: Toolchain, requirements: Sequence[str]) -> Toolchain:
        """Add packages of the environment that qharness runs in; the interpreter is the same."""
        found = find_packages(tuple(requirements))
        return dataclasses.replace(
            toolchain,
            readable=(*toolchain.readable, *found.files, found.folder),
            packages=found.versions,
            search_path=(found.folder,),
            preload=found.modules,
        )

    def tests_need(self, tests: str) -> TestsNeed:
        """Say in which process these tests must run."""
        return what_tests_need(tests)

    def first_function(self, prompt: str, completion: str) -> str:
        """Cut after the function that the prompt's last `def` opened.

        It ends before the first line that is indented no further than its `def`, is neither blank nor a comment, and
        comes after a whole function: a line at the margin inside a string or a bracket ends nothing. A function with a
        syntax error ends before the first line at the margin.
        """
        definitions = list(_DEF.finditer(prompt))
        if not definitions:
            return completion
        definition = definitions[-1]
        margin = len(definition[1].expandtabs())
        header = prompt[definition.start() :]
        candidates = [end for end in _line_starts(completion) if _ends_block(completion, end, margin)]
        for end in [*candidates, len(completion)]:
            function = _whole_function(header + completion[:end])
            if function is not None:
                return completion[: max(len(function) - len(header), 0)]
        return completion[: candidates[0]] if candidates else completion


def _line_starts(text: str) -> list[int]:
    return [match.end() for match in re.finditer(r"\n", text)]


def _ends_block(text: str, start: int, margin: int) -> bool:
    line = text[start:].split("\n", 1)[0].expandtabs()
    body = line.lstrip()
    return bool(body) and not body.startswith("#") and len(line) - len(body) <= margin


def _whole_function(text: str) -> str | None:
    """Return `text` up to the end of the one function it consists of; None if it does not parse as one."""
    shell = b"if 1:\n" if text[:1].isspace() else b""
    encoded = shell + text.encode("utf-8", "surrogatepass")
    block = syntax_parser("python").parse(encoded).root_node
    if block.has_error:
        return None
    if shell:
        block = block.children[0].child_by_field_name("consequence") or block
    functions = [node for node in block.children if node.type == "function_definition"]
    others = [node for node in block.children if node.type not in ("function_definition", "comment")]
    if len(functions) != 1 or others:
        return None
    return encoded[len(shell) : functions[0].end_byte].decode("utf-8", "surrogatepass")
