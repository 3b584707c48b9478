"""Takes the code out of a model's answer, as the source of a whole program."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from qharness.answers.fences import Block, Reading, readings, wrapped
from qharness.answers.needed_pieces import definition, missing, needed
from qharness.answers.solution import Solution
from qharness.answers.thinking import without_thinking
from qharness.api.answers import AnswerLanguage, AnswerSyntax, Opening, Piece

_MOST_BLOCKS = 100
_NAME = re.compile(r"[A-Za-z_$][\w$]*")


def take_out(language: AnswerLanguage, opening: Opening, answer: str) -> Solution:
    """Return the program in an answer; where none is found, the answer's text without its thoughts.

    These are tried, and the first that defines the entry point is taken: the blocks of code, the last first, and the
    text around them; the same with syntax errors; blocks and text as what continues the prompt; a mere signature. Where
    nothing does, a block that parses is taken.
    """
    return Solution(_Extraction(language.answers, opening, answer).source(), answer)


class _Extraction:
    """The candidates in one answer, and the choice among them."""

    def __init__(self, syntax: AnswerSyntax, opening: Opening, answer: str) -> None:
        self.syntax = syntax
        self.opening = opening
        self.text = without_thinking(answer.replace("\r\n", "\n").replace("\r", "\n"))
        self.readings: list[Reading] = readings(self.text)
        self.blocks = [block.text for block in self._blocks()]

    def _blocks(self) -> list[Block]:
        found = [block for reading in self.readings for block in reversed(reading.blocks[-_MOST_BLOCKS:])]
        found += reversed(list(wrapped(self.text))[-_MOST_BLOCKS:])
        own = [block for block in found if not block.tag or block.tag in self.syntax.tags]
        return [*own, *(block for block in found if block not in own)]

    def source(self) -> str:
        """Return the source of the first candidate that is good enough."""
        written = [self._pieces(text) for text in (*self.blocks, *self._regions())]
        blocks = written[: len(self.blocks)]
        for candidates, good in (
            (written, _is_whole),
            (written, _has_body),
            (self._continued(), _is_whole),
            (written, _is_any),
        ):
            for pieces in candidates:
                entry = definition(pieces, self.opening.entry_point)
                if entry is not None and good(entry):
                    return self._program(pieces, blocks)
        parsed = (
            textwrap.dedent(text)
            for text, pieces in zip(self.blocks, blocks, strict=True)
            if pieces and all(piece.clean for piece in pieces)
        )
        return next(parsed, self.text)

    def _continued(self) -> Iterator[list[Piece]]:
        for text in (*self.blocks, *self._regions()):
            for whole in self.syntax.continuations(self.opening, text):
                yield self._pieces(whole)

    def _regions(self) -> list[str]:
        """Return the text around the blocks, from its first line of code on, and from the entry point's line on."""
        found: dict[str, None] = {}
        for text in [*(text for reading in self.readings for text in reversed(reading.around)), self.text]:
            for pattern in (self.syntax.code_line, rf"^\S[^\n]*\b{re.escape(self.opening.entry_point)}\s*\("):
                if start := re.search(pattern, text, re.MULTILINE):
                    found.setdefault(text[start.start() :])
            found.setdefault(text)
        return list(found)

    def _pieces(self, text: str) -> list[Piece]:
        return self.syntax.pieces(textwrap.dedent(text), self.opening.entry_point)

    def _program(self, pieces: list[Piece], blocks: list[list[Piece]]) -> str:
        """Return the program that these pieces make, with what they need of other blocks."""
        entry_point = self.opening.entry_point
        chosen = needed(pieces, frozenset(_NAME.findall(self.opening.tests)), entry_point)
        asked = self.syntax.pieces(self.opening.prompt, entry_point)
        known = frozenset({entry_point}).union(*(piece.binds for piece in asked))
        others = [block for block in blocks if block is not pieces]
        return self.syntax.program(self.opening, [*missing(chosen, known, others), *chosen])


def _is_whole(entry: Piece) -> bool:
    return entry.clean and not entry.hollow


def _has_body(entry: Piece) -> bool:
    return not entry.hollow


def _is_any(entry: Piece) -> bool:
    return True
