"""RedPajama as Giagnorio et al. 2025 sample it (section 3.2, table 2): the sets `random`, `mixed` and `code`."""

from __future__ import annotations

import ast
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar
from urllib.parse import urlsplit

from qharness import CheckedOptions, DataError, mirror_dir, option, source_suffixes
from qharness.plugins.corpora.shards import KINDS, ShardRow, fetch, mirrored, rows, state

UPSTREAM = "https://data.together.xyz/redpajama-data-1T/v1.0.0"
_SHARDS = 16  # files of a subset that are read from the network
_LEAST_SCORE = 10  # a question's must be above it
_LANGUAGE = re.compile(r"(?<![a-z])(?:python|java)(?![a-z])", re.IGNORECASE)  # Python 3 and Java8, but not JavaScript

Fits = Callable[[str], bool]


@dataclass(frozen=True)
class _Source:
    """A kind of document: its name in records, its subset, its share, and `meant`, which selects the subset's rows."""

    label: str
    subset: str
    share: int
    meant: Callable[[Mapping[str, Any]], bool] = lambda _: True


def _written_in(*suffixes: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: PurePosixPath(str(row["meta"].get("path", ""))).suffix.lower() in suffixes


def _popular_question(row: Mapping[str, Any]) -> bool:
    """Select Stack Overflow, scores above 10, and texts that name Python or Java. (`meta.language` is English etc.)"""
    meta = row["meta"]
    site = urlsplit(str(meta.get("url") or "")).hostname
    return (
        site in (None, "stackoverflow.com", "www.stackoverflow.com")
        and int(float(meta.get("question_score") or 0)) > _LEAST_SCORE
        and _LANGUAGE.search(row["text"]) is not None
    )


# These shares are CodeLlama's counts in table 2, where documents were drawn from all of RedPajama.
_RANDOM = (
    _Source("Common Crawl", "common_crawl", 834),
    _Source("C4", "c4", 76),
    _Source("GitHub", "github", 62),
    _Source("arXiv", "arxiv", 28),
    _Source("Wikipedia", "wikipedia", 20),
    _Source("Stack Exchange", "stackexchange", 4),
)
_MIXED = (
    _Source("GitHub Python", "github", 1, _written_in(".py")),
    _Source("GitHub Java", "github", 1, _written_in(".java")),
    _Source("Stack Overflow", "stackexchange", 2, _popular_question),
)


def in_turn(shares: Sequence[int]) -> Iterator[int]:
    """Yield the index of the source to draw from next, without end: the one that is furthest behind its share.

    For any n, the first n are as near to these proportions as whole numbers can be, and a larger set begins with a
    smaller one.
    """
    counts, total = [0] * len(shares), sum(shares)
    for drawn in count(1):
        behind = max(range(len(shares)), key=lambda i: shares[i] * drawn - counts[i] * total)
        counts[behind] += 1
        yield behind


def _draw(
    sources: Sequence[_Source], rng: random.Random, data_dir: Path | None, fits: Fits
) -> Iterator[tuple[str, str]]:
    """Yield documents that fit, by share, at most one of a repository. Raises DataError if a source has no more."""
    repositories: set[str] = set()
    # A generator for each, so that a draw from one source does not shift another's.
    own = [random.Random(rng.getrandbits(64)) for _ in sources]  # noqa: S311
    streams = [
        _source_texts(source, generator, data_dir, fits, repositories)
        for source, generator in zip(sources, own, strict=True)
    ]
    drawn = Counter[str]()
    for i in in_turn([source.share for source in sources]):
        source = sources[i]
        text = next(streams[i], None)
        if text is None:
            raise DataError(
                f"RedPajama's {source.subset} in {_where(data_dir, source.subset)} has {drawn[source.label]} documents "
                f"for {source.label!r} that are long enough, and more were asked for: add files, or lower n or seqlen"
            )
        drawn[source.label] += 1
        yield source.label, text


def _source_texts(
    source: _Source, rng: random.Random, data_dir: Path | None, fits: Fits, repositories: set[str]
) -> Iterator[str]:
    """Yield a source's texts that fit in random order, none of a repository that is among `repositories` already."""
    places = _places(source.subset, data_dir)
    if mirror_dir(data_dir) is None:
        places = rng.sample(places, min(len(places), _SHARDS))
    for place, row in rows(places, rng):
        document = _checked(place, source.subset, row)
        repository = document["meta"].get("repo_name")
        if repository in repositories or not source.meant(document):
            continue
        text = document["text"].encode(errors="replace").decode()  # halves of surrogate pairs, which JSON can hold
        if fits(text):
            if repository is not None:
                repositories.add(repository)
            yield text


_FIELDS = {"github": ("repo_name", "path"), "stackexchange": ("question_score",)}


def _checked(place: str, subset: str, row: ShardRow) -> dict[str, Any]:
    """Return a row's text, and its `meta` as a mapping; raise DataError if a field of the subset is missing."""
    text, meta = row.get("text"), _mapping(row.get("meta"))
    needed = _FIELDS.get(subset, ())
    missing = ["text"] if not isinstance(text, str) else [f"meta.{name}" for name in needed if name not in meta]
    if missing:
        raise DataError(
            f"{place}: a row has no {missing[0]}, which RedPajama's {subset} has: put other files elsewhere"
        )
    return {"text": text, "meta": meta}


def _mapping(meta: Any) -> Mapping[str, Any]:
    """Read `meta`: an object in the full set; in the sample, an object written by Python or as JSON."""
    if isinstance(meta, str):
        for read in (json.loads, ast.literal_eval):
            try:
                meta = read(meta)
                break
            except (ValueError, SyntaxError):
                continue
    return meta if isinstance(meta, dict) else {}


# ------------------------------------------------------------------------------------------------------- the files

_LAYOUT = "put files of RedPajama-Data-1T or of its sample to DIR/redpajama/{subset}/"
_LINES = tuple(kind for kind in KINDS if kind != ".parquet")


def _folder(mirror: Path, subset: str) -> Path:
    return mirror / "redpajama" / subset


def _where(data_dir: Path | None, subset: str) -> str:
    mirror = mirror_dir(data_dir)
    return str(_folder(mirror, subset)) if mirror else f"{_SHARDS} files of {UPSTREAM}"


def _places(subset: str, data_dir: Path | None) -> list[str]:
    layout = _LAYOUT.format(subset=subset)
    if mirror := mirror_dir(data_dir):
        return mirrored(_folder(mirror, subset), layout, _LINES)
    listed = fetch(f"{UPSTREAM}/urls.txt", f"no network? {layout} and give --data-dir DIR").decode().split()
    return [url for url in listed if url.startswith(f"{UPSTREAM}/{subset}/")]


def _origin(sources: Sequence[_Source], data_dir: Path | None) -> str:
    if mirror_dir(data_dir) is None:
        return UPSTREAM
    return "\n".join(state(_places(subset, data_dir)) for subset in dict.fromkeys(s.subset for s in sources))


# --------------------------------------------------------------------------------------------------------- the sets


@dataclass(frozen=True)
class Random(CheckedOptions):
    """RedPajama's documents of all kinds, in the proportions that Giagnorio et al. 2025 drew (table 2)."""

    name: ClassVar[str] = "random"

    n: int = option(1024, "sequences", least=1)
    seqlen: int = option(4096, "tokens of a sequence; shorter documents are passed over", least=1)

    @property
    def sources(self) -> tuple[_Source, ...]:
        """The kinds of documents, with their shares."""
        return _RANDOM

    def documents(self, rng: random.Random, data_dir: Path | None) -> Iterator[tuple[str, str]]:
        """Yield documents of any length, each with its kind."""
        return self.fitting(rng, data_dir, lambda _: True)

    def fitting(self, rng: random.Random, data_dir: Path | None, fits: Fits) -> Iterator[tuple[str, str]]:
        """Yield documents that fit, each with its kind."""
        return _draw(self.sources, rng, data_dir, fits)

    def origin(self, data_dir: Path | None) -> str:
        """Return the upstream's URL, or the state of a mirror's files."""
        return _origin(self.sources, data_dir)


@dataclass(frozen=True)
class Mixed(Random):
    """RedPajama: a quarter Python files, a quarter Java files, half Stack Overflow on Python or Java."""

    name: ClassVar[str] = "mixed"

    @property
    def sources(self) -> tuple[_Source, ...]:
        """Files of both languages, and discussions."""
        return _MIXED


@dataclass(frozen=True)
class Code(Random):
    """RedPajama's files of code: half Python, half Java or other languages in equal parts, one file of a repository."""

    name: ClassVar[str] = "code"

    languages: str = option("python java", "which ones, with spaces between them")

    def __post_init__(self) -> None:
        super().__post_init__()
        source_suffixes(self.languages)

    @property
    def sources(self) -> tuple[_Source, ...]:
        """GitHub's files of each language, in equal parts; files are told by their names."""
        return tuple(
            _Source(f"GitHub {name.capitalize()}", "github", 1, _written_in(*suffixes))
            for name, suffixes in source_suffixes(self.languages).items()
        )
