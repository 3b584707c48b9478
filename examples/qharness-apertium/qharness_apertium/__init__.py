"""Back-translation by Apertium, registered with qharness through the entry point in pyproject.toml."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from qharness import DataError, MissingDependencyError, Perturbation, hookimpl, option

INSTALL = "apt-get install apertium apertium-eng-spa"


@dataclass(frozen=True)
class Apertium:
    """Sentences translated from English to Spanish and back, by Apertium's rules."""

    name: ClassVar[str] = "apertium"
    whole_sentences: ClassVar[bool] = True

    there: str = option("eng-spa", "Apertium's pair of languages on the way there")
    back: str = option("spa-eng", "and on the way back")

    def __call__(self, text: str, rng: random.Random) -> str:
        """Paraphrase one text; nothing is drawn."""
        return self.perturb_all([text], [rng])[0]

    def perturb_all(self, texts: Sequence[str], rngs: Sequence[random.Random]) -> list[str]:
        """Paraphrase texts, all in one go: starting Apertium takes longer than translating."""
        if not texts:
            return []
        lines = [" ".join(text.split()) for text in texts]
        paraphrases = translate(self.back, translate(self.there, lines))
        return [like(text, new) for text, new in zip(texts, paraphrases, strict=True)]


def translate(pair: str, lines: Sequence[str]) -> list[str]:
    """Translate lines, each for itself; words that are not in the dictionary stay as they are."""
    if shutil.which("apertium") is None:
        raise MissingDependencyError("Apertium", INSTALL)
    done = subprocess.run(
        ["apertium", "-u", "-f", "line", pair],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
    )
    translated = done.stdout.splitlines()
    if done.returncode or len(translated) != len(lines):
        said = " ".join((done.stderr or done.stdout).split())[:200]
        raise DataError(f"apertium {pair} failed ({said}): `apertium -l` lists the pairs there are; {INSTALL}")
    return [line.strip() for line in translated]


def like(text: str, paraphrase: str) -> str:
    """Begin in upper or lower case and end as the original does: Apertium makes it a sentence, less its full stop."""
    words = " ".join(paraphrase.split())
    first = words[:1].lower() if text[:1].islower() else words[:1]
    stop = "." if text.endswith(".") and not words.endswith(".") else ""
    return first + words[1:] + stop


@hookimpl
def qharness_perturbations() -> list[type[Perturbation]]:
    """Offer `apertium`."""
    return [Apertium]
