"""The values that numeric settings may take: one table for the command line, studies, tasks' YAMLs and lm-eval."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from qharness.errors import SettingError

_SHOWN = 40  # characters of a value that is quoted in a message


@dataclass(frozen=True)
class Bound:
    """The range of one setting. `above`: `least` itself is not in it. `or_zero`: 0 is allowed besides."""

    kind: type[int] | type[float]
    least: float
    most: float
    above: bool = False
    or_zero: bool = False

    def __str__(self) -> str:
        noun = "a whole number" if self.kind is int else "a number"
        start = f"above {self.least:.12g} and up to" if self.above else f"from {self.least:.12g} to"
        return f"{'0, or ' if self.or_zero else ''}{noun} {start} {self.most:.12g}"

    def complaint(self, value: object) -> str:
        """What is wrong with a value; empty if nothing is. True is no number, and "1" is none either."""
        return "" if self._holds(value) else f"must be {self}, not {shortened(value)}"

    def _holds(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | self.kind):
            return False
        if self.or_zero and value == 0:
            return True
        if not math.isfinite(value if isinstance(value, float) else 0):
            return False
        return (self.least < value if self.above else self.least <= value) and value <= self.most


@dataclass(frozen=True)
class OptionRange:
    """The values that a plugin's option may take: `choices`, or numbers from `least`, or above `above`, to `most`."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    choices: Sequence[object] = ()

    def __str__(self) -> str:
        if self.choices:
            return " or ".join(map(str, self.choices))
        if self.above is not None:
            return f"above {self.above} and at most {self.most}"
        if self.most is None:
            return f"{self.least} or more"
        form = "between {:g} and {:g}" if isinstance(self.most, float) else "{} to {}"
        return form.format(self.least, self.most)

    def complaint(self, value: Any) -> str:
        """Say what is wrong with a value; empty if nothing is. None leaves an option open."""
        shown = f"{value:g}" if isinstance(value, float) else value
        return "" if value is None or self._holds(value) else f"must be {self}, not {shown}"

    def _holds(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        low = (self.least is not None and value < self.least) or (self.above is not None and value <= self.above)
        return not low and (self.most is None or value <= self.most)


_TOKENS = Bound(int, 1, 10**7)

BOUNDS: Mapping[str, Bound] = {
    "samples": Bound(int, 1, 100_000),
    "temperature": Bound(float, 1e-6, 100, or_zero=True),  # below, logits divided by it overflow
    "top_p": Bound(float, 0, 1, above=True),
    "max_new_tokens": _TOKENS,
    "num_beams": Bound(int, 1, 1000),
    "limit": Bound(int, 1, 10**9),
    "seed": Bound(int, 0, 2**32 - 1),  # the widest that every generator in use takes: NumPy's old one has 32 bits
    "batch_size": Bound(int, 1, 65_536),
    "latency": Bound(float, 1e-9, 1e9),
    "prompt_tokens": _TOKENS,
    "new_tokens": _TOKENS,
    "repeats": Bound(int, 1, 10**6),
    "workers": Bound(int, 1, 4096),
    "serve": Bound(int, 0, 65_535),
    "older_than": Bound(float, 0, 1e6),
    "examples": Bound(int, 0, 10**6),
    "cores": Bound(int, 1, 4096),
    "newest": Bound(int, 1, 10**9),
    "budget": Bound(float, 0, 1e6, above=True),
    "unpack_mb": Bound(int, 0, 10**9),
}
"""By the setting's name. An option of the command line has dashes where a name has underscores."""


def check_setting(name: str, value: object, called: str = "") -> None:
    """Raise SettingError for a value out of bounds. `called`: what the user calls the setting, if not by its name."""
    if complaint := BOUNDS[name].complaint(value):
        raise SettingError(f"{called or name} {complaint}")


def check_fields(settings: Any) -> None:
    """Check all fields of a dataclass that the table names; one that is None is left to its default."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name in BOUNDS and value is not None:
            check_setting(field.name, value)


def parse_number(name: str, text: str, called: str, word: str) -> int | float | None:
    """A setting's value from text, None for the word that leaves it open; raise SettingError for anything else."""
    if text == word:
        return None
    bound = BOUNDS[name]
    value: int | float | str = text
    with suppress(ValueError):  # of what is no number, and of a whole one of thousands of digits
        value = bound.kind(text)
    if isinstance(value, str) or bound.complaint(value):
        raise SettingError(f"{called} must be {word} or {bound}, not {shortened(text)}")
    return value


def shortened(value: object) -> str:
    """A value as a message shows it."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**_SHOWN:
        return f"a number of more than {_SHOWN} digits"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
