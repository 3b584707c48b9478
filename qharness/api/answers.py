"""Code in a model's answer: the optional protocol of a language that can read it, and the pieces it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol, runtime_checkable


class Role(StrEnum):
    """The part that a piece plays in a program.

    A VARIABLE does nothing but define some. A STATEMENT does anything else. An EXAMPLE tests or shows the program (an
    assertion, a print, a main guard), so it is in no solution.
    """

    IMPORT = "import"
    DEFINITION = "definition"
    VARIABLE = "variable"
    STATEMENT = "statement"
    EXAMPLE = "example"


@dataclass(frozen=True)
class Piece:
    """A stretch of code that a solution holds whole or not at all: an import, a function, a member of a class.

    `start`: where it starts, in characters. `binds`: the names that it gives to the rest of the program. `uses`: the
    names that it needs from there. `clean`: whether it has no syntax error. `hollow`: whether it is a definition with
    nothing to run in it, such as a signature with a docstring. `owner`: the head of the class whose member it is, empty
    if its class is missing; None for a piece of the file.
    """

    role: Role
    text: str
    start: int
    binds: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()
    clean: bool = True
    hollow: bool = False
    owner: str | None = None


@dataclass(frozen=True)
class Opening:
    """The half of a program that a model was asked to finish.

    `prompt`: with the separator before the completion. `entry_point`: the function or method that the tests call.
    `entry_class`: as a Program's.
    """

    prompt: str
    tests: str
    entry_point: str
    entry_class: str = ""


class AnswerSyntax(Protocol):
    """A language's reading of code in answers."""

    @property
    def tags(self) -> frozenset[str]:
        """The words after a fence that announce this language, in lower case."""
        ...

    @property
    def code_line(self) -> str:
        """A regular expression for the beginning of a line that is certainly code, not prose."""
        ...

    def entry_point(self, prompt: str, tests: str) -> str:
        """Return the function or method that the prompt opens, else the one that the tests call; else nothing."""
        ...

    def pieces(self, code: str, entry_point: str) -> list[Piece]:
        """Take code apart. Text that is no code has no pieces, or pieces that are not `clean`."""
        ...

    def continuations(self, opening: Opening, code: str) -> list[str]:
        """Return the programs in which `code` may continue the prompt, the likeliest first."""
        ...

    def program(self, opening: Opening, pieces: Sequence[Piece]) -> str:
        """Return the source of the program that these pieces make with what the prompt has before its entry point."""
        ...


@runtime_checkable
class AnswerLanguage(Protocol):
    """A language whose code can be taken out of a model's answer."""

    answers: ClassVar[AnswerSyntax]
