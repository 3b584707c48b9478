"""Perturbs the prose of documents and nothing else, each stretch in its place.

A sentence may continue over lines, and over names and values in it, which must not change. Words are put back on the
lines that they came from, as nearly as possible.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from qharness.api.perturbations import BatchPerturbation, Perturbation, SentencePerturbation
from qharness.api.tasks import Document, Span
from qharness.errors import PluginError

_LINE_BREAK = re.compile(r"[ \t]*\n[ \t]*(?:\*(?!/)|//)?[ \t]*")  # with a comment's mark
_SENTENCE_END = tuple(".!?:;")
_NEW_ITEM = re.compile(r"[-*•@]|\w+\s*(?:\([^)\n]*\))?:")  # of a list of parameters, say
_LONGEST_NAME = 60
_QUOTES = "'\""
# What could end a docstring or comment, or mean something in it: a perturbation may bring in no more of these.
_DANGEROUS = ('"', "'''", "\\", "*/")


@dataclass(frozen=True)
class ProseChange:
    """A document before and after. `kept`: stretches whose perturbation would have broken the code round them."""

    before: Document
    after: Document
    stretches: int
    kept: int = 0


@dataclass
class _Stretch:
    """A stretch of prose that is changed in place. `separator`: the text before it in its sentence, a space or a name.

    None: it begins a sentence of its own.
    """

    span: Span
    text: str
    separator: str | None


@dataclass
class _Passage:
    """The prose of one document. `rng` is its own."""

    stretches: list[_Stretch]
    rng: random.Random = field(default_factory=random.Random)
    kept: int = 0


def perturb(
    docs: Sequence[Document],
    prose_spans: Callable[[Document], list[Span]],
    perturbations: Sequence[Perturbation],
    seed: int,
) -> list[ProseChange]:
    """Apply perturbations one after another to the prose of documents.

    The random draws of each come from seed, document (its `task_id`, or its number where it has none) and the
    perturbation's place in the chain. A document without prose stays as it is. Raises PluginError for spans that lie
    outside their field or overlap.
    """
    passages = [_Passage(_stretches(doc, prose_spans(doc))) for doc in docs]
    for place, perturbation in enumerate(perturbations):
        for number, (doc, passage) in enumerate(zip(docs, passages, strict=True)):
            passage.rng = random.Random(f"{seed}/{doc.get('task_id', number)}/{place}")  # noqa: S311 - no secret
        whole = isinstance(perturbation, SentencePerturbation) and perturbation.whole_sentences
        left = _perturb_together(perturbation, passages, by_sentence=True) if whole else None
        _perturb_together(perturbation, passages, by_sentence=False, only=left)
    changes = []
    for doc, passage in zip(docs, passages, strict=True):
        changes.append(ProseChange(dict(doc), _rebuilt(doc, passage.stretches), len(passage.stretches), passage.kept))
    return changes


def _stretches(doc: Document, spans: Sequence[Span]) -> list[_Stretch]:
    ordered = sorted(spans)
    found: list[_Stretch] = []
    for before, span in pairwise([None, *ordered]):
        name, start, end = span or ("", 0, 0)
        text = doc.get(name)
        same = before is not None and before[0] == name
        if not isinstance(text, str) or not 0 <= start <= end <= len(text) or (before and same and before[2] > start):
            raise PluginError(
                f"prose_spans gave {span} for document {doc.get('task_id')}: no stretch of text, or twice"
            )
        separator = _separator(text[before[1] : before[2]], text[before[2] : start]) if before and same else None
        found.append(_Stretch((name, start, end), text[start:end], separator))
    return found


def _separator(before: str, gap: str) -> str | None:
    """The separator of two stretches of one sentence, a space for a line break; None where a sentence begins."""
    if gap.count("\n") > 1 or before.endswith(_SENTENCE_END):
        return None
    if "\n" in gap:
        after = gap[_LINE_BREAK.search(gap).end() :]  # type: ignore[union-attr]
        if _NEW_ITEM.match(after):
            return None
    name = _LINE_BREAK.sub(" ", gap)
    return name if len(name) <= _LONGEST_NAME else None


def _perturb_together(
    perturbation: Perturbation,
    passages: Sequence[_Passage],
    *,
    by_sentence: bool,
    only: Sequence[list[_Stretch]] | None = None,
) -> list[list[_Stretch]]:
    """Perturb all passages' units at once; returns those that could not be put back because a name in them is lost."""
    units = [
        (passage, unit)
        for passage in passages
        for unit in _units(passage.stretches, by_sentence)
        if only is None or any(unit[0] is stretch for lost in only for stretch in lost)
    ]
    texts = [_joined(unit) for _, unit in units]
    rngs = [passage.rng for passage, _ in units]
    if isinstance(perturbation, BatchPerturbation):
        results = list(perturbation.perturb_all(texts, rngs))
    else:
        results = [perturbation(text, rng) for text, rng in zip(texts, rngs, strict=True)]
    lost = []
    for (passage, unit), text, result in zip(units, texts, results, strict=True):
        if not _is_harmless(text, result):
            passage.kept += 1
        elif not _put_back(unit, re.sub(r"\s*\n\s*", " ", result)):
            lost.append(unit)
    return lost


def _units(stretches: Sequence[_Stretch], by_sentence: bool) -> list[list[_Stretch]]:
    """The stretches to perturb together: joined over line breaks, and `by_sentence` over names too."""
    units: list[list[_Stretch]] = []
    for stretch in stretches:
        if units and stretch.separator is not None and (by_sentence or stretch.separator.isspace()):
            units[-1].append(stretch)
        else:
            units.append([stretch])
    return units


def _joined(unit: Sequence[_Stretch]) -> str:
    first, *rest = unit
    return first.text + "".join(f"{stretch.separator}{stretch.text}" for stretch in rest)


def _is_harmless(text: str, result: str) -> bool:
    """Whether the result can take the place of the old text without ending a string or comment."""
    if not result.strip() or (result[-1] in _QUOTES) != (text[-1] in _QUOTES):
        return False
    return all(result.count(mark) <= text.count(mark) for mark in _DANGEROUS)


def _put_back(unit: Sequence[_Stretch], result: str) -> bool:
    """Spread a result over a unit's stretches; False where it lacks a name between them, in order."""
    lines = _units(unit, by_sentence=False)
    parts, rest = [], result
    for line in lines[1:]:
        name = (line[0].separator or "").strip()
        found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", rest)
        if found is None:
            return False
        parts.append(rest[: found.start()])
        rest = rest[found.end() :]
    for line, part in zip(lines, [*parts, rest], strict=True):
        _spread(line, part.strip() if len(lines) > 1 else part)
    return True


def _spread(line: Sequence[_Stretch], text: str) -> None:
    """Break a text at spaces so that each stretch gets about its old share; a text of the old length as before."""
    old = sum(len(stretch.text) + 1 for stretch in line) - 1
    spaces = [match.start() for match in re.finditer(" ", text)]
    start = passed = 0
    for stretch in line[:-1]:
        passed += len(stretch.text) + 1
        target = (passed - 1) * len(text) / old
        later = [space for space in spaces if space >= start]
        end = min(later, key=lambda space: abs(space - target), default=len(text))
        stretch.text = text[start:end]
        start = min(end + 1, len(text))
    line[-1].text = text[start:]


def _rebuilt(doc: Document, stretches: Sequence[_Stretch]) -> Document:
    after = dict(doc)
    for stretch in reversed(stretches):  # from the right: what is left of a stretch stays where it is
        name, start, end = stretch.span
        after[name] = after[name][:start] + stretch.text + after[name][end:]
    return after
