"""Reads WordNet 3.0 through nltk, from nltk's own data or from the folder of Debian's `wordnet-base`."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from qharness import MissingDependencyError
from qharness.plugins.perturbations.tagging import Pos

_SYSTEM = Path("/usr/share/wordnet")
_ADVICE = (
    "apt-get install wordnet-base, or python -m nltk.downloader wordnet, or set QHARNESS_WORDNET to a folder with "
    "WordNet's index.* and data.* files"
)

# nltk wants a file `lexnames` that Debian leaves out: WordNet's lexicographer files by number, and their parts of
# speech (1 noun, 2 verb, 3 adjective, 4 adverb), from the manual page lexnames(5WN).
_NOUNS = (
    "Tops act animal artifact attribute body cognition communication event feeling food group location motive object "
    "person phenomenon plant possession process quantity relation shape state substance time"
)
_VERBS = (
    "body change cognition communication competition consumption contact creation emotion motion perception possession "
    "social stative weather"
)
LEXNAMES = (
    ("adj.all", 3),
    ("adj.pert", 3),
    ("adv.all", 4),
    *((f"noun.{name}", 1) for name in _NOUNS.split()),
    *((f"verb.{name}", 2) for name in _VERBS.split()),
    ("adj.ppl", 3),
)


class WordNet:
    """Looks words up in WordNet, and caches the answers."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._synsets: dict[tuple[str, str], list[str]] = {}
        self._counts: dict[str, dict[Pos, int]] = {}

    def synsets(self, word: str, pos: Pos) -> list[str]:
        """Return the first word of each synset of the word or its base as this part of speech, commonest first."""
        key = word.lower(), pos
        if key not in self._synsets:
            found = self._reader.synsets(*key)
            self._synsets[key] = [synset.name().rsplit(".", 2)[0] for synset in found]
        return self._synsets[key]

    def counts(self, word: str) -> Mapping[Pos, int]:
        """Count the word in WordNet's tagged texts, by each part of speech that it can be."""
        key = word.lower()
        if key not in self._counts:
            self._counts[key] = {pos: count for pos in Pos if (count := self._count(key, pos)) is not None}
        return self._counts[key]

    def is_base(self, word: str, pos: Pos) -> bool:
        """Tell whether the word is not inflected."""
        return bool(self._reader.morphy(word.lower(), str(pos)) == word.lower())

    def _count(self, word: str, pos: Pos) -> int | None:
        base = self._reader.morphy(word, str(pos))
        if base is None:
            return None
        lemmas = (lemma for synset in self._reader.synsets(base, str(pos)) for lemma in synset.lemmas())
        return sum(int(lemma.count()) for lemma in lemmas if lemma.name().lower() == base)


@cache
def load_wordnet() -> WordNet:
    """Load WordNet from QHARNESS_WORDNET, or nltk's data, or the system's; raise MissingDependencyError without any."""
    try:
        import nltk
        from nltk.corpus import wordnet as own
        from nltk.corpus.reader.wordnet import WordNetCorpusReader
    except ImportError:
        raise MissingDependencyError("nltk", 'pip install "qharness[perturb]"') from None

    class WithLexnames(WordNetCorpusReader):  # type: ignore[misc]
        """Reads a folder that has English only, and no `lexnames`."""

        def open(self, file: str) -> Any:
            if file == "lexnames" and not (Path(str(self.root)) / file).exists():
                return io.StringIO("".join(f"{n:02d}\t{name}\t{pos}\n" for n, (name, pos) in enumerate(LEXNAMES)))
            return super().open(file)

        def map_wn(self, version: str = "wordnet") -> None:
            """Do nothing: only other languages' WordNets need their synsets mapped to this version's."""

    named = os.environ.get("QHARNESS_WORDNET")
    if not named:
        try:
            own.ensure_loaded()
        except LookupError:
            pass
        else:
            return WordNet(own)
    folder = Path(named) if named else _SYSTEM
    if not (folder / "index.noun").is_file():
        raise MissingDependencyError("WordNet", _ADVICE)
    if str(folder) not in nltk.data.path:
        nltk.data.path.append(str(folder))  # from 3.10 on, it reads no other folders
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other languages' WordNets, which are not there
        return WordNet(WithLexnames(str(folder), None))
