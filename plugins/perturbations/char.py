"""Changes the case of letters, as NL-Augmenter's ChangeCharCase does (Dhole et al. 2021)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from qharness import CheckedOptions, option


@dataclass(frozen=True)
class Char(CheckedOptions):
    """Letters drawn at random to upper case (and capitals to lower case)."""

    name: ClassVar[str] = "char"

    p: float = option(0.1, "chance of a letter to change", least=0.0, most=1.0)

    def __call__(self, text: str, rng: random.Random) -> str:
        """Change the case of each letter that has two, with chance p."""
        return "".join(c.swapcase() if _has_other_case(c) and rng.random() < self.p else c for c in text)


def _has_other_case(character: str) -> bool:
    """Tell whether a character has one other case; the German sharp s has none, for it becomes two letters."""
    other = character.swapcase()
    return other != character and len(other) == 1 and other.swapcase() == character
