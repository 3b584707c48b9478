"""C programs, compiled by GCC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from qharness import AnswerSyntax, Limits, Toolchain, option
from qharness.plugins.languages.functions_in_braces import cut_after_function
from qharness.plugins.languages.gnu import gnu_toolchain
from qharness.plugins.languages.gnu.gnu_answers import C_ANSWERS


@dataclass(frozen=True)
class C:
    """C, compiled by gcc (its default standard, no optimization, assertions on)."""

    name: ClassVar[str] = "c"
    suffixes: ClassVar[tuple[str, ...]] = (".c", ".h")
    limits: ClassVar[Limits] = Limits()
    answers: ClassVar[AnswerSyntax] = C_ANSWERS
    missing_names: ClassVar[str] = r".*(undeclared|undefined reference|unknown type name|No such file or directory)"

    sanitize: Literal["none", "undefined", "address", "both"] = option(
        "none", "stop a program at undefined behaviour, at bad addresses, or at both"
    )

    def toolchain(self, limits: Limits) -> Toolchain:
        """Return gcc with our harness."""
        return gnu_toolchain("gcc", "c", ".c", ("gcc", "libc6-dev"), ("-lm",), sanitize=self.sanitize)

    def first_function(self, prompt: str, completion: str) -> str:
        """Cut after the brace that closes the function which the prompt has begun."""
        return cut_after_function("c", prompt, completion)
