"""What the tables of operations are made of."""

from __future__ import annotations

from dataclasses import dataclass

# Kinds of value. One element: int, word, char. A whole result: those, and ints, words, bool, table (word -> int).
PYTHON_TYPES = {
    "int": "int",
    "word": "str",
    "ints": "List[int]",
    "words": "List[str]",
    "rows": "List[List[int]]",
    "bool": "bool",
    "table": "Dict[str, int]",
}
JAVA_TYPES = {
    "int": "long",
    "word": "String",
    "char": "char",
    "ints": "ArrayList<Long>",
    "words": "ArrayList<String>",
    "rows": "ArrayList<ArrayList<Long>>",
    "bool": "boolean",
    "table": "HashMap<String, Long>",
}
JAVA_BOXES = {"int": "Long", "word": "String", "char": "Character"}


@dataclass(frozen=True)
class Argument:
    """An extra value of a step, `$k`: written into the text as a constant, or a further parameter of the function."""

    kind: str  # int, word or letter (a word of one letter)
    low: int = 1
    high: int = 9
    names: tuple[str, ...] = ("k", "limit", "bound", "m", "amount")


@dataclass(frozen=True)
class Step:
    """One operation on each element, or on the whole result (a finisher).

    `that` and `unless` finish "those that ..." for what a filter keeps and drops; `each` is a command about `$it`, and
    `of` a noun phrase about `$np`, for what a map gives.
    """

    name: str
    takes: str
    gives: str
    python: tuple[str, ...]
    java: tuple[str, ...]
    that: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    each: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    argument: Argument | None = None
    ordered: bool = False  # depends on the order of the elements
    breaks: bool = False  # leaves the loop

    @property
    def filters(self) -> bool:
        """Whether it keeps or drops elements."""
        return bool(self.that)


@dataclass(frozen=True)
class Source:
    """Where the elements come from: the function's first parameters and how to loop over them.

    `python` and `java` are headers of loops (innermost last; a line without `:` or `{` at its end is a statement)
    around the element `$x`; `python_items` and `java_stream` say the same as expressions, where that is possible.
    """

    name: str
    gives: str
    parameters: tuple[tuple[str, tuple[str, ...]], ...]
    phrases: tuple[str, ...]
    python: tuple[str, ...]
    java: tuple[str, ...]
    python_items: tuple[str, ...] = ()
    java_stream: tuple[str, ...] = ()
    ordered: bool = True
    nested: bool = False
    python_value: str = "$x"  # the element inside `python_items`, where the loop's variable is not it


@dataclass(frozen=True)
class Sink:
    """What becomes of the elements: `of` is a noun phrase about `$np`; the code is a loop's, or an expression's.

    `python_loop` and `java_loop` hold `$x`, `python_whole` holds a list `$s`, and `java_tail` ends a stream.
    """

    name: str
    takes: str
    gives: str
    of: tuple[str, ...]
    python_loop: tuple[str, ...]
    java_loop: tuple[str, ...]
    python_whole: tuple[str, ...] = ()
    java_tail: tuple[str, ...] = ()
    argument: Argument | None = None
    ordered: bool = False
    small: bool = False  # grows fast: tests keep to small numbers
