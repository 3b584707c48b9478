"""Measures `char` and `word` beside NL-Augmenter's ChangeCharCase and SynonymSubstitution, on the same 1,000 sentences.

    PYTHONPATH=CLONE_OF_NL_AUGMENTER python benchmarks/nlaugmenter_rates.py --data-dir MIRROR

The sentences are MBPP's 974 and the first of HumanEval's docstrings. SynonymSubstitution takes its parts of speech from
a model of spaCy's, which is on no package index: here its function gets our words and tags, and nltk's WordNet.
"""

from __future__ import annotations

import argparse
import importlib
import random
import re
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.plugins.perturbations.nlaugmenter import NlAugmenter
from qharness.plugins.perturbations.tagging import WORD, rule_tags
from qharness.plugins.perturbations.word import Word
from qharness.plugins.perturbations.wordnet import load_wordnet
from qharness.registry import get_registry

_NUMBER = 1000
_UNIVERSAL = {"n": "NOUN", "v": "VERB", "a": "ADJ", "r": "ADV"}
_OTHER = re.compile(r"[^\sA-Za-z]+")

Perturb = Callable[[str, random.Random], str]


@dataclass(frozen=True)
class _Token:
    text: str
    pos_: str


def main() -> None:
    """Print a table of rates and kinds of change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    sentences = _sentences(parser.parse_args().data_dir)
    write = sys.stdout.write
    write(f"{len(sentences)} sentences, {sum(map(len, sentences))} characters\n")
    for name, perturb in {"char": get_registry().perturbation("char"), "theirs": NlAugmenter("ChangeCharCase")}.items():
        write(f"{name}: {_letters(sentences, _each(sentences, perturb))}\n")
    for name, perturb in {"word": Word(), "theirs": _their_synonyms()}.items():
        write(f"{name}: {_words(sentences, _each(sentences, perturb))}\n")


def _sentences(data_dir: Path) -> list[str]:
    found = []
    for task in ("mbpp", "humaneval"):
        (loaded,) = load_task(task, data_dir).tasks.values()
        for doc in loaded.eval_docs:
            parts = doc["prompt"].split('"""')
            found.append(" ".join((parts[1] if len(parts) > 1 else "").split("\nassert")[0].split(">>>")[0].split()))
    return [text for text in found if text][:_NUMBER]


def _each(sentences: Sequence[str], perturb: Perturb) -> list[str]:
    return [perturb(text, random.Random(number)) for number, text in enumerate(sentences)]


def _letters(before: Sequence[str], after: Sequence[str]) -> str:
    pairs = [pair for a, b in zip(before, after, strict=True) for pair in zip(a, b, strict=True) if pair[0].isalpha()]
    changed = [(a, b) for a, b in pairs if a != b]
    upper = [(a, b) for a, b in pairs if a.isupper()]
    capitals = sum(a != b for a, b in upper) / len(upper)
    return (
        f"{len(changed) / len(pairs):.2%} of {len(pairs)} letters changed, {capitals:.2%} of {len(upper)} capitals; "
        f"{sum(a.swapcase() == b for a, b in changed)} of {len(changed)} to the other case"
    )


def _words(before: Sequence[str], after: Sequence[str]) -> str:
    total = changed = longer = sentences = punctuation = 0
    for a, b in zip(before, after, strict=True):
        old, new = ([word[0] for word in WORD.finditer(text)] for text in (a, b))
        total += len(old)
        for tag, left, right, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            changed += (right - left) * (tag != "equal")
            longer += tag != "equal" and end - start > right - left
        sentences += old != new
        punctuation += _OTHER.findall(a) != _OTHER.findall(b)
    return (
        f"{changed / total:.2%} of {total} words changed, in {sentences} sentences; {longer} places became longer; "
        f"what is no letter changed in {punctuation} sentences"
    )


def _their_synonyms() -> Perturb:
    """Return SynonymSubstitution's own function, at its chance of 0.5, with our words and tags."""
    sys.modules["spacy"] = types.ModuleType("spacy")  # both are imported, and used by the class alone
    sys.modules["nlaugmenter.utils.initialize"] = types.ModuleType("initialize")
    sys.modules["nlaugmenter.utils.initialize"].spacy_nlp = None  # type: ignore[attr-defined]
    module = importlib.import_module("nlaugmenter.transformations.synonym_substitution.transformation")
    wordnet = load_wordnet()
    module.wordnet = wordnet._reader

    def tokens(text: str) -> list[_Token]:
        tags = iter(rule_tags(text, wordnet))
        found = re.finditer(rf"{WORD.pattern}|[^\sA-Za-z]+", text)
        return [_Token(m[0], _UNIVERSAL.get(next(tags) or "", "X") if WORD.fullmatch(m[0]) else "PUNCT") for m in found]

    def perturb(text: str, rng: random.Random) -> str:
        return str(module.synonym_substitution(text, tokens, seed=rng.randrange(2**32), prob=0.5)[0])

    return perturb


if __name__ == "__main__":
    main()
