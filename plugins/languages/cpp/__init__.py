"""C++ programs, compiled by GCC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from qharness import AnswerSyntax, Limits, Toolchain, option
from qharness.plugins.languages.functions_in_braces import cut_after_function
from qharness.plugins.languages.gnu import gnu_toolchain
from qharness.plugins.languages.gnu.gnu_answers import CPP_ANSWERS


@dataclass(frozen=True)
class Cpp:
    """C++, compiled by g++ (its default standard, no optimization, assertions on)."""

    name: ClassVar[str] = "cpp"
    suffixes: ClassVar[tuple[str, ...]] = (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx")
    limits: ClassVar[Limits] = Limits()
    answers: ClassVar[AnswerSyntax] = CPP_ANSWERS
    missing_names: ClassVar[str] = (
        r".*(was not declared|undefined reference|does not name a type|has no member|No such file or directory)"
    )

    sanitize: Literal["none", "undefined", "address", "both"] = option(
        "none", "stop a program at undefined behaviour, at bad addresses, or at both"
    )

    def toolchain(self, limits: Limits) -> Toolchain:
        """Return g++ with our harness."""
        return gnu_toolchain("g++", "c++", ".cpp", ("g++",), precompiled="bits/stdc++.h", sanitize=self.sanitize)

    def first_function(self, prompt: str, completion: str) -> str:
        """Cut after the brace that closes the function which the prompt has begun."""
        return cut_after_function("cpp", prompt, completion)
