"""How each verdict looks in tables, figures and on the page: words, a shape and a colour, each of which tells it."""

from __future__ import annotations

from dataclasses import dataclass

from qharness.results.verdict import VerdictClass


@dataclass(frozen=True)
class ClassMark:
    """The look of one verdict. The shape tells it without the colour, and the words without either.

    `key`: the name of its style on the page. `shape`: a character. `marker`, `colour`: of matplotlib; the colours are
    of the palette of Okabe and Ito (2008). `filled`: whether the marker is.
    """

    key: str
    words: str
    shape: str
    marker: str
    colour: str
    filled: bool

    @property
    def text(self) -> str:
        """Shape and words."""
        return f"{self.shape} {self.words}"


MARKS = {
    VerdictClass.HOLDS: ClassMark("holds", "holds", "●", "o", "#009e73", True),
    VerdictClass.LOSES: ClassMark("loses", "loses", "✕", "X", "#d55e00", True),
    VerdictClass.CANNOT_TELL: ClassMark("cannot-tell", "cannot tell", "△", "^", "#0072b2", False),
    VerdictClass.SAYS_NOTHING: ClassMark("says-nothing", "says nothing", "◇", "D", "#666666", False),
}
"""The look of each verdict, in the order of a legend."""

NO_VERDICT = ClassMark("no-verdict", "no verdict", "–", "d", "#666666", False)  # noqa: RUF001


def mark_of(class_: VerdictClass | None) -> ClassMark:
    """The look of a verdict; None stands for none."""
    return NO_VERDICT if class_ is None else MARKS[class_]
