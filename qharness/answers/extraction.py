"""Takes the code out of a model's answer, as the source of a whole program."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from qharness.answers.fences import Block, Reading, readings, wrapped
from qharness.answers.selection import definition, needed
from qharness.answers.solution import Solution
from qharness.answers.thinking import without_thinking
from qharness.api.answers import AnswerLanguage, AnswerSyntax, Opening, Piece

_MOST_BLOCKS = 100
_NAME = re.compile(r"[A-Za-z_$][\w$]*")


def take_out(language: AnswerLanguage, opening: Opening, answer: str) -> Solution:
    """Return the program in an answer; where none is found, the answer's text without its thoughts.

    These are tried, and the first that defines the entry point is taken: the blocks of code, the last first; the text
    around them; blocks and text as what continues the prompt. Code without a syntax error goes before code with one.
    A mere signature counts last.
    """
    return Solution(_Extraction(language.answers, opening, answer).source(), answer)


class _Extraction:
    """The candidates in one answer, and the choice among them."""

    def __init__(self, syntax: AnswerSyntax, opening: Opening, answer: str) -> None:
        self.syntax = syntax
        self.opening = opening
        self.text = without_thinking(answer.replace("\r\n", "\n").replace("\r", "\n"))
        self.readings: list[Reading] = readings(self.text)
        self.blocks = [textwrap.dedent(block.text) for block in self._blocks()]

    def _blocks(self) -> list[Block]:
        found = [block for reading in self.readings for block in reversed(reading.blocks[-_MOST_BLOCKS:])]
        found += reversed(list(wrapped(self.text))[-_MOST_BLOCKS:])
        own = [block for block in found if not block.tag or block.tag in self.syntax.tags]
        return [*own, *(block for block in found if block not in own)]

    def source(self) -> str:
        """Return the source of the first candidate that is good enough."""
        fallbacks: list[str] = []
        for good in (_is_whole, _is_defined):
            for pieces in self._candidates():
                entry = definition(pieces, self.opening.entry_point)
                if entry is not None and good(entry):
                    return self._program(pieces)
        for block in self.blocks:
            pieces = self.syntax.pieces(block, self.opening.entry_point)
            if pieces and all(piece.clean for piece in pieces):
                fallbacks.append(self.syntax.program(self.opening, pieces))
        return next(iter(fallbacks), self.text)

    def _candidates(self) -> Iterator[list[Piece]]:
        texts = [*self.blocks, *self._regions()]
        for text in texts:
            yield self.syntax.pieces(text, self.opening.entry_point)
        for text in texts:
            for whole in self.syntax.continuations(self.opening, text):
                yield self.syntax.pieces(whole, self.opening.entry_point)

    def _regions(self) -> list[str]:
        """Return the text around the blocks, from its first line of code on, and from the entry point's line on."""
        found: dict[str, None] = {}
        for text in [*(text for reading in self.readings for text in reversed(reading.around)), self.text]:
            for pattern in (self.syntax.code_line, rf"^.*\b{re.escape(self.opening.entry_point)}\s*\("):
                if start := re.search(pattern, text, re.MULTILINE):
                    found.setdefault(textwrap.dedent(text[start.start() :]))
            found.setdefault(text)
        return list(found)

    def _program(self, pieces: list[Piece]) -> str:
        roots = frozenset(_NAME.findall(self.opening.tests))
        chosen = needed(pieces, roots, self.opening.entry_point)
        return self.syntax.program(self.opening, chosen)


def _is_whole(entry: Piece) -> bool:
    return entry.clean and not entry.hollow


def _is_defined(entry: Piece) -> bool:
    return not entry.hollow
