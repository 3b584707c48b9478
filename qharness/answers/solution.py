"""A program that was taken out of an answer."""

from __future__ import annotations


class Solution(str):
    """The source of a whole program, which stands for prompt and completion, and the `answer` it was taken out of."""

    answer: str

    def __new__(cls, source: str, answer: str = "") -> Solution:
        """Make a solution."""
        made = super().__new__(cls, source)
        made.answer = answer
        return made
